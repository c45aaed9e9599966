"""LoRA fine-tuning: what the launcher plans and watches (no torch), and what each rank runs.

Without torch: `steps`, `order`, `deepspeed_config`, `job`, `events`, `failure`, `checkpoints`, `group`.
In a rank: `rank`, `trainer`, `progress`, `encode`, `collate`, `lora`, `loss`, `dataset`.
"""
