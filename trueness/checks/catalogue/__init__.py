"""One module per check, its page beside it; `trueness.checks.registry` finds them.

A module holds a `CHECK`, which says what it is called and what it is made for, and a function
`check` that answers for one run. The page is the Markdown file of the same name.
"""
