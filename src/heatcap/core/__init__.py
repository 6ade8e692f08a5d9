"""Foundations of all packages: results, tables, names of observables and columns, safe output.

`result` has the base of all results, their statuses and the format of numbers with errors;
`quantities` and `columns` are the lists of observables and of event columns; `tables` reads and
`writing` writes files; `text` makes foreign text safe to show; `student` has errors from few runs;
`arrays` and `jit` have the types of arrays and the compilation of kernels.
"""
