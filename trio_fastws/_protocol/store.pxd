cimport cython

from ._xor cimport reserve

# Numbers of the module as C has them: not seen from Python.
cdef Py_ssize_t LEAST, TRUSTED


cdef class BinaryStore:
    cdef object _bytes
    cdef object _view
    cdef readonly Py_ssize_t room

    @cython.locals(need=Py_ssize_t)
    cpdef add(self, data, Py_ssize_t at, Py_ssize_t expected)
    cdef _grow(self, Py_ssize_t at, Py_ssize_t room)
    @cython.locals(room=Py_ssize_t)
    cpdef get_buffer(self, Py_ssize_t at, Py_ssize_t expected)
    cpdef get_view(self, Py_ssize_t size)
    cpdef take_back(self)
    cpdef bytes take(self, Py_ssize_t size)


@cython.locals(room=Py_ssize_t)
cpdef Py_ssize_t get_room(Py_ssize_t arrived, Py_ssize_t expected)
