"""What to do next for a run, and what to say on it: pure functions of what was observed and of the time.

Rooms, each over those below it:

    lifecycle    the life of a run: whether it may start, its stages in order, how it ends
    kinds        what each kind adds to the status
    acceptance   whether a spec can be carried out; the preflight of a training
    groups       ranks that live and die together: attempts, restarts, stops
    stages       one stage: its key and folder, its Job, its results and figures, its watchdog
    status       conditions, events, and which change is news
    actions      what a plan asks for
    seen         Jobs and pods as they were observed, reports, what is late
    money        prices, quotas and how they are lent, GPU hours
"""
