cimport cython


cdef class Fields:
    cdef readonly list pairs
    cdef readonly dict index
    cdef public bint complete

    cpdef on_header(self, bytes name, bytes value)
    cpdef only(self, bytes name)
    cpdef joined(self, bytes name)
    cdef list _all(self, bytes name)


@cython.locals(fields=Py_ssize_t)
cpdef check_head(bytes head, Py_ssize_t max_fields, Py_ssize_t max_size, bint cut=*)
cpdef Fields parse_request_fields(bytes head)
