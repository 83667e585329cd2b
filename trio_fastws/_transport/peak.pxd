cimport cython

from .wheel cimport Timer

# Numbers of the module as C has them: not seen from Python.
cdef double GIVE_BACK_SECONDS


@cython.final
cdef class Peak(Timer):
    cdef object _dispatcher
    cdef public Py_ssize_t held
    cdef public Py_ssize_t most
    cdef public Py_ssize_t recent
    cdef public double planned

    cpdef plan(self)
