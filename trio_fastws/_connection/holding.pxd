cimport cython

from .outbox cimport Outbox

from .inbox cimport Inbox

# Numbers of the module as C has them: not seen from Python.
cdef int BY_BUDGET
cdef Py_ssize_t FLOOR


cdef class Holding(Inbox):
    cdef _on_end(self, event)
    cdef _settle(self)
    cpdef _abort(self, reason)
    @cython.locals(held=Py_ssize_t, outbox=Outbox)
    cdef _account(self)
    @cython.locals(outbox=Outbox)
    cdef bint _is_draining(self, double since) except? -1
