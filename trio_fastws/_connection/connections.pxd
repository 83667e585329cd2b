cimport cython

from trio_fastws._transport.contract cimport Owner


@cython.final
cdef class Cursor:
    cdef public Py_ssize_t place


@cython.final
cdef class Connections:
    cdef object _contexts
    cdef list _cursors
    cdef readonly dict _closed
    cdef public object _on_empty
    cdef readonly list _items

    @cython.locals(hole=Py_ssize_t, last=Owner)
    cpdef bint _leave(self, Owner connection, int code) except? -1
    @cython.locals(moved=Owner, hole=Py_ssize_t)
    cdef Py_ssize_t _move_cursors(self, Py_ssize_t hole) except? -1
