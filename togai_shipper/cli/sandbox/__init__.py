"""``togai-shipper sandbox``: run a stand-in for Togai, and print what it is asked.

    catalog, chosen_switches, random_faults -> FakeTogai -> feed -> lines -> the terminal

``catalog`` says which schemas and accounts exist, ``chosen_switches`` how the sandbox behaves where Togai
leaves that open, and ``random_faults`` what goes wrong by chance. ``lines`` makes the line of a request, and
that of an event; ``feed`` prints as many as somebody can read. ``command`` starts the sandbox, and waits for
the end.
"""
