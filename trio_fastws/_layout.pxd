# A truth value of one byte: a C `int`, which `bint` is, would take four.
cdef extern from "<stdbool.h>" nogil:
    ctypedef bint flag "_Bool"
