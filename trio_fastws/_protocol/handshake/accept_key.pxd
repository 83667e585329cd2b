cpdef bytes accept(bytes key)
