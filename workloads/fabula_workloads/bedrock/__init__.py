"""Paid calls to Amazon Bedrock: within quota and budget, retried with sense, each outcome kept, none paid for twice."""
