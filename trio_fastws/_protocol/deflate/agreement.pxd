cimport cython


cdef class Agreement:
    cdef readonly object parameters
    cdef readonly object key
    cdef readonly object error
    cdef object _compressobj
    cdef object _decompressobj
    cdef list _pool
    cdef readonly Py_ssize_t step
    cdef readonly Py_ssize_t share_size
    cdef int _level
    cdef int _memory_level
    cdef readonly int send_bits
    cdef readonly int receive_bits
    cdef readonly bint send_takeover
    cdef readonly bint receive_takeover
    cdef readonly bint compresses
    cdef readonly bint persistent
    cdef readonly bint shares

    cdef new_compressor(self, bytearray window)
    cdef new_inflater(self, bytearray window)
    @cython.locals(pool=list, head=bytes, rest=bytes)
    cpdef bytes compress(self, bytes payload)
