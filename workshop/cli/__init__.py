"""What makes Invoke the workshop's command line: tasks from the runbook, their flags and help, several labs in one
call, what was typed wrong in words, exit statuses.

contents.py and program.py are imported by every `invoke`, also to list or complete, and import nothing heavy; the
other modules are imported by who runs something, or has mistyped it.
"""
