from ._current cimport enter_context, leave_context, thread_ident, variables


cdef class Running:
    cdef public object owner


cdef class Contexts:
    cdef readonly Running running
    cdef object _base
    cdef object _entered
    cdef object _scratch
    cdef size_t _unchanged
    cdef readonly unsigned long thread

    cpdef check_thread(self)
    cdef _renew(self)
    cpdef enter(self, owner, context)
    cpdef leave(self, context)
    cdef _unless_unset(self, context)
    cpdef capture(self)
    cpdef copy(self, context)
