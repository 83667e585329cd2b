cimport cython

from .http_head cimport Fields
from .accept_key cimport accept
from .request cimport Request, check_fields


@cython.locals(index=dict)
cpdef bint is_upgrade(Request request) except -1
@cython.locals(fields=Fields, index=dict, key=bytes)
cpdef check_upgrade(Request request)
cpdef bint has_token(bytes value, bytes token) except -1
@cython.locals(index=dict, value=bytes)
cdef _check_offers(Request request)
@cython.locals(head=bytes, lines=list)
cpdef bytes build_accept(Request request, subprotocol=*, extensions=*, headers=*)
