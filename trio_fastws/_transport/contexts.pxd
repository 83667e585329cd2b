from ._current cimport enter_context, leave_context, thread_ident, variables
from .wheel cimport Timer


cdef class ContextOwner(Timer):
    cdef public object _context

    cdef _init_context(self)


cdef class Running:
    cdef public ContextOwner owner


cdef class Contexts:
    cdef readonly Running running
    cdef object _base
    cdef object _entered
    cdef object _scratch
    cdef size_t _unchanged
    cdef unsigned long _thread

    cpdef check_thread(self)
    cdef _renew(self)
    cpdef enter(self, ContextOwner owner)
    cpdef leave(self, ContextOwner owner)
    cdef _keep(self, ContextOwner owner, context)
    cpdef keep_current(self, ContextOwner owner)
    cpdef get(self, ContextOwner owner)
