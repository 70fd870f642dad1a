/* CPython 3.11: where it keeps what the tracer's BPF programs read, from its own headers. */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_interp.h>
#include <internal/pycore_runtime.h>

#include <stddef.h>

#include "tools/cli/layout.h"

_Static_assert(PY_VERSION_HEX >> 16 == 0x030b, "this file is for CPython 3.11");

#define GIL(field) offsetof(struct _gil_runtime_state, field)

const struct python_layout python311_layout = {
    .runtime_size = sizeof(_PyRuntimeState),
    .programs =
        {
            .gil_last_holder = GIL(last_holder),
            .gil_locked = GIL(locked),
            .gil_cond = GIL(cond),
            .gil_switch_cond = GIL(switch_cond),
            .runtime_gil = offsetof(_PyRuntimeState, ceval.gil),
            .runtime_interpreters = offsetof(_PyRuntimeState, interpreters.head),
            .interpreter_next = offsetof(PyInterpreterState, next),
            .interpreter_threads = offsetof(PyInterpreterState, threads.head),
            .tstate_next = offsetof(PyThreadState, next),
            .tstate_native_id = offsetof(PyThreadState, native_thread_id),
            .tstate_cframe = offsetof(PyThreadState, cframe),
            .cframe_frame = offsetof(_PyCFrame, current_frame),
            .frame_code = offsetof(_PyInterpreterFrame, f_code),
            .frame_instruction = offsetof(_PyInterpreterFrame, prev_instr),
            .object_type = offsetof(PyObject, ob_type),
            .type_name = offsetof(PyTypeObject, tp_name),
            .code_instructions = offsetof(PyCodeObject, co_code_adaptive),
            .code_first_line = offsetof(PyCodeObject, co_firstlineno),
            .code_file = offsetof(PyCodeObject, co_filename),
            .code_name = offsetof(PyCodeObject, co_qualname),
            .code_lines = offsetof(PyCodeObject, co_linetable),
            .string_length = offsetof(PyASCIIObject, length),
            .string_state = offsetof(PyASCIIObject, state),
            .string_ascii = sizeof(PyASCIIObject),
            .string_other = sizeof(PyCompactUnicodeObject),
            .bytes_length = offsetof(PyVarObject, ob_size),
            .bytes_data = offsetof(PyBytesObject, ob_sval),
        },
};
