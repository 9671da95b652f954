"""The command line, ``togai-shipper``: an application of the library. It needs the extra ``cli``.

``app`` is the group that all commands hang on. Each command is a package or a module: ``send`` delivers the
events of files, ``spool`` looks into a spool, ``drain`` ships what is left in one, ``doctor`` looks at all
that delivery needs, ``sandbox`` runs a stand-in for Togai, and ``demo`` shows the library at work.

They share ``terminal`` (all that is printed, made printable), ``private_files`` (all files that are written),
``formats`` (ages, sizes and moments in words), ``display`` (progress on a terminal), ``captured_log`` (log
lines kept off the terminal), and ``spool``'s ``directory`` and ``files``.
``random_faults`` is what goes wrong in the sandbox.
"""
