cpdef bint is_key(bytes key) except -1
cpdef bytes accept(bytes key)
