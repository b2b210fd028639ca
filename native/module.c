// SPDX-License-Identifier: Apache-2.0
//
// fakeroot_sc._core: the only file that knows Python. Types and docstrings are
// in fakeroot_sc/_core.pyi.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "attach.h"
#include "control.h"
#include "credentials.h"
#include "fakeroot_text.h"
#include "kernel.h"
#include "launch.h"
#include "metadata.h"
#include "resolve.h"
#include "scope.h"
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/prctl.h>

#define EXIT_TROUBLE 125 // plan.py

// One session to a process: workers run until it ends.
static struct session session;
static PyObject *python_handler;
static PyObject *python_ended; // or NULL
static PyObject *request_type;

static PyObject *raise_errno(int error)
{
	errno = error < 0 ? -error : error;
	return PyErr_SetFromErrno(PyExc_OSError);
}

// ---- Request: what a Python handler is given ----

struct request_object {
	PyObject_HEAD
	struct request *request; // NULL once the handler has returned
};

static struct request *request_of(PyObject *self)
{
	struct request *request = ((struct request_object *)self)->request;
	if (!request)
		PyErr_SetString(PyExc_ValueError, "the request has been answered");
	return request;
}

static PyObject *request_argument(PyObject *self, PyObject *position)
{
	struct request *request = request_of(self);
	long index = request ? PyLong_AsLong(position) : -1;
	if (PyErr_Occurred())
		return NULL;
	if (index < 0 || index > 5) {
		PyErr_SetString(PyExc_IndexError, "a call has six arguments");
		return NULL;
	}
	return PyLong_FromUnsignedLongLong(request->args[index]);
}

static PyObject *request_capable(PyObject *self, PyObject *capability)
{
	struct request *request = request_of(self);
	long number = request ? PyLong_AsLong(capability) : -1;
	if (PyErr_Occurred())
		return NULL;
	if (number < 0 || number > 63) {
		PyErr_SetString(PyExc_ValueError, "no such capability");
		return NULL;
	}
	return PyBool_FromLong(credentials_capable(credentials_of(request), (int)number));
}

static PyObject *request_name(PyObject *self, void *unused)
{
	(void)unused;
	struct request *request = request_of(self);
	return request ? PyUnicode_FromString(request->row->name) : NULL;
}

static PyObject *request_handler(PyObject *self, void *unused)
{
	(void)unused;
	static const char *const names[] = {PYTHON_HANDLER_NAMES};
	struct request *request = request_of(self);
	return request ? PyUnicode_FromString(names[request->row->python_handler]) : NULL;
}

static PyObject *request_tid(PyObject *self, void *unused)
{
	(void)unused;
	struct request *request = request_of(self);
	return request ? PyLong_FromLong(request->tid) : NULL;
}

static void request_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
	release(self);
	Py_DECREF(type);
}

static PyMethodDef request_methods[] = {
	{"argument", request_argument, METH_O, NULL},
	{"capable", request_capable, METH_O, NULL},
	{0},
};

static PyGetSetDef request_attributes[] = {
	{"name", request_name, NULL, NULL, NULL},
	{"handler", request_handler, NULL, NULL, NULL},
	{"tid", request_tid, NULL, NULL, NULL},
	{0},
};

static PyType_Slot request_slots[] = {
	{Py_tp_methods, request_methods},
	{Py_tp_getset, request_attributes},
	{Py_tp_dealloc, request_dealloc},
	{0, NULL},
};

static PyType_Spec request_spec = {
	.name = "fakeroot_sc._core.Request",
	.basicsize = sizeof(struct request_object),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = request_slots,
};

static void report_handler_error(struct request *request)
{
	PyObject *type, *value, *traceback;
	PyErr_Fetch(&type, &value, &traceback);
	PyErr_NormalizeException(&type, &value, &traceback);
	PyObject *shown = value ? PyObject_Repr(value) : NULL;
	const char *why = shown ? PyUnicode_AsUTF8AndSize(shown, NULL) : NULL;
	char text[400];
	snprintf(text, sizeof(text), "internal error in %s: %.300s: the call failed with EIO",
		 request->row->name, why ? why : "unknown");
	control_text(request->session->control, text);
	Py_XDECREF(shown);
	Py_XDECREF(type);
	Py_XDECREF(value);
	Py_XDECREF(traceback);
	PyErr_Clear();
}

// An OSError is the call's outcome; anything else is a defect of ours, which
// fails this one call and is told.
static int handler_errno(struct request *request)
{
	int error = EIO;
	if (PyErr_ExceptionMatches(PyExc_OSError)) {
		PyObject *type, *value, *traceback;
		PyErr_Fetch(&type, &value, &traceback);
		PyErr_NormalizeException(&type, &value, &traceback);
		PyObject *number = PyObject_GetAttrString(value, "errno");
		if (number && PyLong_Check(number))
			error = (int)PyLong_AsLong(number);
		Py_XDECREF(number);
		Py_XDECREF(type);
		Py_XDECREF(value);
		Py_XDECREF(traceback);
	} else {
		report_handler_error(request);
	}
	PyErr_Clear();
	return error;
}

static void run_python(struct request *request, struct outcome *outcome)
{
	outcome_result(outcome, -EIO);
	PyGILState_STATE state = PyGILState_Ensure();
	allocfunc allocate = (allocfunc)PyType_GetSlot((PyTypeObject *)request_type, Py_tp_alloc);
	PyObject *object = allocate((PyTypeObject *)request_type, 0);
	PyObject *result = NULL;
	if (object) {
		((struct request_object *)object)->request = request;
		result = PyObject_CallFunctionObjArgs(python_handler, object, NULL);
		((struct request_object *)object)->request = NULL;
	}
	if (!result)
		outcome_result(outcome, -handler_errno(request));
	else if (result == Py_None)
		outcome_continue(outcome);
	else
		outcome_value(outcome, PyLong_AsLongLong(result));
	if (PyErr_Occurred())
		outcome_result(outcome, -handler_errno(request));
	Py_XDECREF(result);
	Py_XDECREF(object);
	PyGILState_Release(state);
}

// ---- launching and supervising ----

// A NULL-terminated array of the bytes objects in a list, which keeps them alive.
static char **string_array(PyObject *list)
{
	Py_ssize_t count = PyList_Size(list);
	if (count < 0)
		return NULL;
	char **strings = PyMem_Calloc((size_t)count + 1, sizeof(*strings));
	if (!strings) {
		PyErr_NoMemory();
		return NULL;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		strings[i] = PyBytes_AsString(PyList_GetItem(list, i));
		if (!strings[i]) {
			PyMem_Free(strings);
			return NULL;
		}
	}
	return strings;
}

static int parse_origin(PyObject *tuple, struct launch_origin *origin)
{
	unsigned long long mask, ignored;
	unsigned closed;
	if (!PyArg_ParseTuple(tuple, "KKI", &mask, &ignored, &closed))
		return -1;
	*origin = (struct launch_origin){
		.signal_mask = mask, .ignored_signals = ignored, .closed = closed};
	return 0;
}

static PyObject *launch_result(enum launch_stage stage, int error)
{
	static const char *const names[] = {
#define X(name) #name,
		LAUNCH_STAGES(X)
#undef X
	};
	return Py_BuildValue("si", names[stage], error);
}

static enum launch_stage start(const struct launch_plan *plan, int control, int *error_ret)
{
	pid_t command = 0;
	prctl(PR_SET_NAME, "fakeroot-sc", 0, 0, 0);
	// Yama lets only ancestors read a process: orphans must stay below us.
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	fcntl(control, F_SETFD, FD_CLOEXEC);
	enum launch_stage stage = launch(&session, plan, &command, error_ret);
	if (stage != LAUNCH_NONE)
		return stage;
	session_detach_errors();
	control_send(control, CONTROL_STARTED, command);
	supervise(&session, command);
	return LAUNCH_NONE;
}

// What Python answers: a status and a text for the user, or None.
static int run_ended(struct session *ended)
{
	int status = -1;
	const char *text = NULL;
	PyGILState_STATE state = PyGILState_Ensure();
	PyObject *answer = PyObject_CallNoArgs(python_ended);
	if (!answer || (answer != Py_None && !PyArg_ParseTuple(answer, "is", &status, &text))) {
		PyErr_Clear();
		status = EXIT_TROUBLE;
		text = "saving failed inside fakeroot-sc";
	}
	if (text && *text)
		control_text(ended->control, text);
	Py_XDECREF(answer);
	PyGILState_Release(state);
	return status;
}

// Returns false with a ValueError (line, why) set, or an OSError.
static bool load_records(PyObject *load)
{
	struct fakeroot_text_error wrong;
	char *text;
	Py_ssize_t size;
	if (load == Py_None)
		return true;
	if (PyBytes_AsStringAndSize(load, &text, &size) < 0)
		return false;
	int error = fakeroot_text_load(&session, text, (size_t)size, &wrong);
	if (error == -EINVAL) {
		PyObject *arguments = Py_BuildValue("ns", (Py_ssize_t)wrong.line, wrong.why);
		PyErr_SetObject(PyExc_ValueError, arguments);
		Py_XDECREF(arguments);
	} else if (error) {
		raise_errno(error);
	}
	return !error;
}

static PyObject *core_run(PyObject *module, PyObject *args)
{
	(void)module;
	PyObject *argv, *env, *origin, *shim, *handler, *load, *ended;
	const char *filter;
	Py_ssize_t filter_size;
	int control, unknown_is_real;
	unsigned long long pass;
	struct launch_plan plan = {0};
	if (!PyArg_ParseTuple(args, "O!O!y#O!ipKOOOO", &PyList_Type, &argv, &PyList_Type, &env,
			      &filter, &filter_size, &PyTuple_Type, &origin, &control,
			      &unknown_is_real, &pass, &shim, &handler, &load, &ended) ||
	    parse_origin(origin, &plan.origin) < 0)
		return NULL;
	char **arguments = string_array(argv);
	char **environment = arguments ? string_array(env) : NULL;
	if (!environment) {
		PyMem_Free(arguments);
		return NULL;
	}
	plan.argv = arguments;
	plan.envp = environment;
	plan.filter = filter;
	plan.filter_size = (size_t)filter_size;

	int error = session_create(&session);
	enum launch_stage stage = LAUNCH_PREPARE;
	if (error == -ENOENT)
		stage = LAUNCH_PROC;
	if (error == -EPERM || error == -ENOSYS)
		stage = LAUNCH_STATX;
	if (!error) {
		session_publish(&session, pass, unknown_is_real);
		credentials_init(&session);
		preload_init(&session.preload, shim == Py_None ? NULL : PyBytes_AsString(shim));
		session.control = control;
		session.python = run_python;
		python_handler = Py_NewRef(handler);
		if (ended != Py_None) {
			python_ended = Py_NewRef(ended);
			session.ended = run_ended;
			session.page->saved = 1;
		}
		if (!load_records(load)) {
			PyMem_Free(arguments);
			PyMem_Free(environment);
			return NULL;
		}
		Py_BEGIN_ALLOW_THREADS
		stage = start(&plan, control, &error);
		Py_END_ALLOW_THREADS
	}
	PyMem_Free(arguments);
	PyMem_Free(environment);
	return launch_result(stage, error < 0 ? -error : error);
}

static PyObject *core_execute(PyObject *module, PyObject *args)
{
	(void)module;
	struct launch_origin origin;
	int control;
	PyObject *argv, *env, *tuple;
	if (!PyArg_ParseTuple(args, "O!O!O!i", &PyList_Type, &argv, &PyList_Type, &env,
			      &PyTuple_Type, &tuple, &control) ||
	    parse_origin(tuple, &origin) < 0)
		return NULL;
	char **arguments = string_array(argv);
	char **environment = arguments ? string_array(env) : NULL;
	int error = 0;
	if (environment) {
		control_send(control, CONTROL_STARTED, getpid());
		fcntl(control, F_SETFD, FD_CLOEXEC);
		error = launch_execute(arguments, environment, &origin);
	}
	PyMem_Free(arguments);
	PyMem_Free(environment);
	return error ? PyLong_FromLong(error) : NULL;
}

static PyObject *core_in_session(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	return PyBool_FromLong(syscall(SYS_getgroups, ATTACH_QUERY, NULL) == ATTACH_VERSION);
}

static PyObject *core_dump(PyObject *module, PyObject *unused)
{
	size_t size, with_xattrs;
	(void)module;
	(void)unused;
	char *text = fakeroot_text_dump(&session, &size, &with_xattrs);
	if (!text)
		return PyErr_NoMemory();
	PyObject *result = Py_BuildValue("y#n", text, (Py_ssize_t)size, (Py_ssize_t)with_xattrs);
	free(text);
	return result;
}

static PyObject *core_look(PyObject *module, PyObject *args)
{
	int dirfd, result;
	const char *path;
	struct statx seen;
	(void)module;
	if (!PyArg_ParseTuple(args, "iy", &dirfd, &path))
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	result = statx(dirfd, path, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
		       STATX_BASIC_STATS | STATX_BTIME, &seen);
	Py_END_ALLOW_THREADS
	if (result < 0)
		return PyErr_SetFromErrnoWithFilename(PyExc_OSError, path);
	PyObject *birth = Py_NewRef(Py_None);
	if (seen.stx_mask & STATX_BTIME) {
		Py_DECREF(birth);
		birth = PyLong_FromLongLong(seen.stx_btime.tv_sec * 1000000000LL +
					    seen.stx_btime.tv_nsec);
	}
	return Py_BuildValue("KKNIIIIKLK",
			     (unsigned long long)rules_dev(seen.stx_dev_major, seen.stx_dev_minor),
			     (unsigned long long)seen.stx_ino, birth, (unsigned)seen.stx_mode,
			     (unsigned)seen.stx_uid, (unsigned)seen.stx_gid,
			     (unsigned)seen.stx_nlink, (unsigned long long)seen.stx_size,
			     seen.stx_mtime.tv_sec * 1000000000LL + seen.stx_mtime.tv_nsec,
			     (unsigned long long)rules_dev(seen.stx_rdev_major,
							   seen.stx_rdev_minor));
}

// ---- InodeTable: the table alone, in plain memory ----

struct table_object {
	PyObject_HEAD
	struct inode_table table;
	void *region;
};

static PyObject *table_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	Py_ssize_t size;
	static char *names[] = {"size", NULL};
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n", names, &size))
		return NULL;
	if (size < 0) {
		PyErr_SetString(PyExc_ValueError, "size must not be negative");
		return NULL;
	}
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct table_object *self = (struct table_object *)allocate(type, 0);
	if (!self)
		return NULL;
	size_t bytes = ((size_t)size + 63) / 64 * 64;
	self->region = aligned_alloc(64, bytes ? bytes : 64);
	if (!self->region) {
		Py_DECREF(self);
		return PyErr_NoMemory();
	}
	memset(self->region, 0, bytes);
	int error = inode_table_format(&self->table, self->region, (size_t)size);
	if (error) {
		Py_DECREF(self);
		return raise_errno(error);
	}
	return (PyObject *)self;
}

static void table_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	free(((struct table_object *)self)->region);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
	release(self);
	Py_DECREF(type);
}

static struct inode_table *table_of(PyObject *self)
{
	return &((struct table_object *)self)->table;
}

static PyObject *record_tuple(const struct inode_record *record)
{
	return Py_BuildValue("KKLIIIIIII", (unsigned long long)record->identity.dev,
			     (unsigned long long)record->identity.ino,
			     (long long)record->identity.btime_sec, record->identity.btime_nsec,
			     record->fields, record->uid, record->gid, record->mode, record->rdev,
			     record->xattrs);
}

static PyObject *table_put(PyObject *self, PyObject *args)
{
	unsigned long long dev, ino;
	long long seconds;
	struct inode_record record;
	if (!PyArg_ParseTuple(args, "KKLIIIIIII", &dev, &ino, &seconds,
			      &record.identity.btime_nsec, &record.fields, &record.uid,
			      &record.gid, &record.mode, &record.rdev, &record.xattrs))
		return NULL;
	record.identity.dev = dev;
	record.identity.ino = ino;
	record.identity.btime_sec = seconds;
	int error = inode_table_put(table_of(self), &record);
	if (error)
		return raise_errno(error);
	Py_RETURN_NONE;
}

static PyObject *table_find(PyObject *self, PyObject *args)
{
	unsigned long long dev, ino;
	struct inode_record record;
	if (!PyArg_ParseTuple(args, "KK", &dev, &ino))
		return NULL;
	enum inode_lookup found = inode_table_find(table_of(self), dev, ino, &record);
	if (found == INODE_BUSY)
		return raise_errno(EBUSY);
	if (found == INODE_ABSENT)
		Py_RETURN_NONE;
	return record_tuple(&record);
}

static PyObject *table_remove(PyObject *self, PyObject *args)
{
	unsigned long long dev, ino;
	if (!PyArg_ParseTuple(args, "KK", &dev, &ino))
		return NULL;
	return PyBool_FromLong(inode_table_remove(table_of(self), dev, ino));
}

static PyObject *table_iter(PyObject *self)
{
	PyObject *records = PyList_New(0);
	struct inode_record record;
	uint32_t cursor = 0;
	while (records && inode_table_next(table_of(self), &cursor, &record)) {
		PyObject *tuple = record_tuple(&record);
		if (!tuple || PyList_Append(records, tuple) < 0)
			Py_CLEAR(records);
		Py_XDECREF(tuple);
	}
	PyObject *iterator = records ? PyObject_GetIter(records) : NULL;
	Py_XDECREF(records);
	return iterator;
}

static Py_ssize_t table_length(PyObject *self)
{
	return (Py_ssize_t)inode_table_count(table_of(self));
}

static PyObject *table_used(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromSize_t(inode_table_used(table_of(self)));
}

static PyMethodDef table_methods[] = {
	{"put", table_put, METH_VARARGS, NULL},
	{"find", table_find, METH_VARARGS, NULL},
	{"remove", table_remove, METH_VARARGS, NULL},
	{0},
};

static PyGetSetDef table_attributes[] = {
	{"used", table_used, NULL, NULL, NULL},
	{0},
};

static PyType_Slot table_slots[] = {
	{Py_tp_new, table_new},
	{Py_tp_dealloc, table_dealloc},
	{Py_tp_methods, table_methods},
	{Py_tp_getset, table_attributes},
	{Py_tp_iter, table_iter},
	{Py_mp_length, table_length},
	{0, NULL},
};

static PyType_Spec table_spec = {
	.name = "fakeroot_sc._core.InodeTable",
	.basicsize = sizeof(struct table_object),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = table_slots,
};

// ---- the module ----

static PyMethodDef functions[] = {
	{"run", core_run, METH_VARARGS, NULL},
	{"execute", core_execute, METH_VARARGS, NULL},
	{"in_session", core_in_session, METH_NOARGS, NULL},
	{"dump", core_dump, METH_NOARGS, NULL},
	{"look", core_look, METH_VARARGS, NULL},
	{0},
};

static int module_exec(PyObject *module)
{
	request_type = PyType_FromSpec(&request_spec);
	PyObject *table_type = PyType_FromSpec(&table_spec);
	if (!request_type || !table_type ||
	    PyModule_AddObjectRef(module, "Request", request_type) < 0 ||
	    PyModule_AddObjectRef(module, "InodeTable", table_type) < 0)
		return -1;
	Py_DECREF(table_type);
	return 0;
}

static PyModuleDef_Slot module_slots[] = {
	{Py_mod_exec, module_exec},
	{0, NULL},
};

static struct PyModuleDef definition = {
	.m_base = PyModuleDef_HEAD_INIT,
	.m_name = "fakeroot_sc._core",
	.m_methods = functions,
	.m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__core(void)
{
	return PyModuleDef_Init(&definition);
}
