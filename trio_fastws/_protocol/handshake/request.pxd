cimport cython

from .http_head cimport Fields, check_head, parse_request_fields


cdef class Request:
    cdef readonly str method
    cdef readonly str target
    cdef readonly str http_version
    cdef readonly bytes raw
    cdef readonly Fields _fields
    cdef readonly bint _checked
    cdef public object _peer
    cdef public object _tls
    cdef object _headers

    cdef tuple _list(self, bytes name)


cpdef Request parse_request(bytes head, Py_ssize_t max_fields=*, Py_ssize_t max_size=*)
@cython.locals(parts=list, fields=Fields, target=str, request=Request)
cpdef Request read_request(
    bytes head, Py_ssize_t max_fields=*, Py_ssize_t max_size=*, bint cut=*
)
@cython.locals(parts=list)
cpdef list check_request_line(bytes line)
@cython.locals(host=bytes, index=dict)
cpdef check_fields(Fields fields, str http_version)
