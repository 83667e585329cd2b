cimport cython


cdef class Fields:
    cdef readonly list pairs
    cdef readonly dict index
    cdef readonly frozenset repeated
    cdef public bint complete

    cpdef on_header(self, bytes name, bytes value)
    @cython.locals(lines=dict)
    cpdef on_headers_complete(self)
    cpdef check_single(self, tuple names)


@cython.locals(fields=Py_ssize_t)
cpdef check_head(bytes head, Py_ssize_t max_fields, Py_ssize_t max_size, bint cut=*)
cpdef Fields parse_request_fields(bytes head)
