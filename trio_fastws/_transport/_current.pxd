cpdef unsigned long thread_ident() noexcept
cpdef enter_context(context)
cpdef leave_context(context)
cpdef size_t variables(context) except? 0
