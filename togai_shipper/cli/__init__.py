"""The command line, ``togai-shipper``: an application of the library. It needs the extra ``cli``.

``app`` is the group of all commands, which ``on_demand`` loads as they are asked for. Each command is a
package or a module: ``send`` delivers the events of files, ``spool`` looks into a spool or a relay, ``drain``
ships what is left in a spool, and ``drain_relay`` what is in a relay, ``top`` shows how each process stands,
``doctor`` looks at all that delivery needs, ``catalog`` prints the event schemas that Togai has, ``events``
what it has of events, ``reconcile`` proves that a day was billed, ``sandbox`` runs a stand-in for Togai, and
``demo`` shows the library at work.

They share ``streams`` (what is done where nothing can be printed), ``terminal`` (all lines that are printed,
made printable), ``screen`` (all that is drawn), ``private_files`` (all files that are written), ``options``
(those that several have), ``formats`` (ages, sizes and moments in words), ``display`` (progress on a
terminal), ``processes`` (how they stand, in words), ``relay_processes`` (who works on a relay), ``remedies``
(what to do about it), ``watching`` (what a signal stops), ``beside_a_relay`` (the quota that a drainer
leaves), ``togai_asked`` (questions to Togai), ``not_answered`` (where it gives no answer), ``togai_lists``
(what it lists), ``togai_metrics`` (how it counts), ``events_asked`` (the events that it shows),
``captured_log`` (log lines kept off the terminal), ``relay_journal`` (what left a relay), and ``spool``'s
``directory``, ``files`` and ``trial``.
"""
