cpdef bint has_token(bytes value, bytes token) except -1
