"""The C bodies of `current`."""

from cpython.ref cimport PyObject

cdef extern from "Python.h":
    ctypedef int (*visitproc)(PyObject *, void *) noexcept
    ctypedef int (*traverseproc)(PyObject *, visitproc, void *) noexcept
    ctypedef struct PyTypeObject:
        traverseproc tp_traverse
    PyTypeObject *Py_TYPE(PyObject *)
    PyTypeObject PyContext_Type
    int PyContext_Enter(object context) except -1
    int PyContext_Exit(object context) except -1
    unsigned long PyThread_get_thread_ident() nogil


cpdef unsigned long thread_ident() noexcept:
    """See `current.thread_ident`."""
    return PyThread_get_thread_ident()


cpdef enter_context(context):
    """See `current.enter_context`."""
    PyContext_Enter(context)


cpdef leave_context(context):
    """See `current.leave_context`."""
    PyContext_Exit(context)


cdef int _note(PyObject *referent, void *last) noexcept:
    (<PyObject **> last)[0] = referent
    return 0


cpdef size_t variables(context) except? 0:
    """See `current.variables`."""
    cdef PyObject *last = NULL
    cdef PyObject *it = <PyObject *> context
    if Py_TYPE(it) != &PyContext_Type:
        raise TypeError("not a context")
    Py_TYPE(it).tp_traverse(it, _note, &last)
    return <size_t> last
