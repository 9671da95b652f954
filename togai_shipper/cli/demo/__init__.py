"""``togai-shipper demo``: the main job, from beginning to end, on one machine.

    workload -> track() -> ... -> a sandbox that misbehaves by plan -> the balance at the end

``workload`` is the usage, and the threads that track it. ``fault_plan`` says what goes wrong with which
request. ``progress`` is what a viewer sees meanwhile. ``balance`` holds what the sandbox has against what was
tracked, and ``report`` prints it. ``command`` has the options, and puts it together.
"""
