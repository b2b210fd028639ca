// SPDX-License-Identifier: Apache-2.0
//
// fakeroot_sc._core: the only file that knows Python. Types and docstrings are
// in fakeroot_sc/_core.pyi.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "attach.h"
#include "control.h"
#include "credentials.h"
#include "durable.h"
#include "fakeroot_text.h"
#include "file_capability.h"
#include "kernel.h"
#include "launch.h"
#include "live.h"
#include "metadata.h"
#include "places.h"
#include "resolve.h"
#include "scope.h"
#include "supervise.h"
#include "xattr_store.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>


// One run to a process: workers go on until it ends.
static struct session *session;
static PyObject *python_handler;
static PyObject *python_ended; // or NULL
static PyObject *python_fall_back; // or NULL
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

// ---- Live: the memory beside a state file ----

struct live_object {
	PyObject_HEAD
	struct session *session; // NULL once closed
	bool alone, committing;
	struct durable_rows rows;
};

static struct session *live_session(PyObject *self)
{
	struct session *found = ((struct live_object *)self)->session;
	if (!found)
		PyErr_SetString(PyExc_ValueError, "the memory is closed");
	return found;
}

static PyObject *raise_stage(enum live_stage stage, int error, bool pending)
{
	static const char *const names[] = {
#define X(name) #name,
		LIVE_STAGES(X)
#undef X
	};
	PyObject *arguments =
		Py_BuildValue("sis", names[stage], error, pending ? "-live-pending" : "-live");
	PyErr_SetObject(PyExc_RuntimeError, arguments);
	Py_XDECREF(arguments);
	return NULL;
}

static PyObject *live_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	static char *names[] = {"path", "mode", "session_pass", NULL};
	const char *path;
	unsigned mode;
	unsigned long long pass;
	if (!PyArg_ParseTupleAndKeywords(args, kwargs, "yIK", names, &path, &mode, &pass))
		return NULL;
	allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct live_object *self = (struct live_object *)allocate(type, 0);
	if (!self)
		return NULL;
	self->session = calloc(1, sizeof(*self->session));
	if (!self->session) {
		Py_DECREF(self);
		return PyErr_NoMemory();
	}
	session_init(self->session);
	enum live_stage stage = LIVE_MAP;
	int error;
	Py_BEGIN_ALLOW_THREADS
	if (*path)
		stage = live_open(self->session, path, mode, pass, &self->alone, &error);
	else if ((error = -session_create_memory(self->session)) == 0)
		stage = LIVE_NONE;
	Py_END_ALLOW_THREADS
	if (stage == LIVE_NONE)
		return (PyObject *)self;
	bool pending = self->session->live_pending_refused;
	Py_DECREF(self);
	return raise_stage(stage, error, pending);
}

static void live_close(struct live_object *self)
{
	struct session *closed = self->session;
	if (!closed || closed == session)
		return; // a run's: it ends with the process
	if (self->committing)
		lock_release(&closed->locks.committing);
	self->committing = false;
	durable_free(&self->rows);
	self->rows = (struct durable_rows){0};
	self->session = NULL;
	places_free(closed->places);
	session_destroy(closed);
	free(closed);
}

static void live_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	live_close((struct live_object *)self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
	release(self);
	Py_DECREF(type);
}

static PyObject *live_share_method(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct session *shared = live_session(self);
	int error;
	if (!shared)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	durable_forget_places(shared);
	error = live_share(shared);
	Py_END_ALLOW_THREADS
	((struct live_object *)self)->alone = false;
	if (error)
		return raise_errno(error);
	Py_RETURN_NONE;
}

static PyObject *live_clear_method(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct session *cleared = live_session(self);
	int error = cleared ? live_clear(cleared) : 0;
	if (!cleared)
		return NULL;
	if (error)
		return raise_errno(error);
	Py_RETURN_NONE;
}

static PyObject *live_leave_method(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct live_object *live = (struct live_object *)self;
	if (live->session) {
		live_leave(live->session);
		live_close(live);
	}
	Py_RETURN_NONE;
}

// (stamp, next stamp, (dev, ino, size, mtime, ctime))
static PyObject *live_standing_method(PyObject *self, PyObject *unused)
{
	(void)unused;
	const struct session *seen = live_session(self);
	if (!seen)
		return NULL;
	const struct session_standing standing = live_standing(seen);
	const uint64_t *file = standing.file;
	return Py_BuildValue("KK(KKKKK)", (unsigned long long)standing.stamp,
			     (unsigned long long)standing.next_stamp, (unsigned long long)file[0],
			     (unsigned long long)file[1], (unsigned long long)file[2],
			     (unsigned long long)file[3], (unsigned long long)file[4]);
}

static PyObject *live_stand_method(PyObject *self, PyObject *args)
{
	struct session *seen = live_session(self);
	unsigned long long stamp, next, file[5];
	if (!seen || !PyArg_ParseTuple(args, "KK(KKKKK)", &stamp, &next, &file[0], &file[1],
				       &file[2], &file[3], &file[4]))
		return NULL;
	struct session_standing standing = {.stamp = stamp, .next_stamp = next};
	for (int i = 0; i < 5; i++)
		standing.file[i] = file[i];
	live_stand(seen, &standing);
	Py_RETURN_NONE;
}

static PyObject *live_begin(PyObject *self, PyObject *seconds)
{
	struct live_object *live = (struct live_object *)self;
	struct session *locked = live_session(self);
	double wait = locked ? PyFloat_AsDouble(seconds) : 0;
	if (PyErr_Occurred())
		return NULL;
	bool got;
	Py_BEGIN_ALLOW_THREADS
	got = session_lock_within(locked, &locked->locks.committing, wait);
	Py_END_ALLOW_THREADS
	live->committing |= got;
	return PyBool_FromLong(got);
}

static PyObject *live_end(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct live_object *live = (struct live_object *)self;
	if (live->session && live->committing)
		lock_release(&live->session->locks.committing);
	live->committing = false;
	Py_RETURN_NONE;
}

// SQLite's integers have a sign.
static PyObject *signed_number(uint64_t number)
{
	return PyLong_FromLongLong((long long)number);
}

static PyObject *number_if(bool known, uint64_t number)
{
	return known ? PyLong_FromUnsignedLongLong(number) : Py_NewRef(Py_None);
}

static PyObject *row_birth(const struct inode_record *record)
{
	const struct file_identity *identity = &record->identity;
	if (record->fields & INODE_ANY_BIRTH ||
	    (identity->btime_sec == 0 && identity->btime_nsec == 0))
		return Py_NewRef(Py_None);
	return PyLong_FromLongLong(identity->btime_sec * 1000000000LL + identity->btime_nsec);
}

static PyObject *row_xattrs(const struct durable_rows *rows, const struct durable_row *row)
{
	if (row->xattr_count == 0)
		return Py_NewRef(Py_None);
	PyObject *list = PyList_New(0);
	const unsigned char *at = rows->text + row->xattrs;
	for (uint32_t i = 0; list && i < row->xattr_count; i++) {
		struct durable_xattr head;
		memcpy(&head, at, sizeof(head));
		const char *name = (const char *)at + sizeof(head);
		bool removed = head.value_size == UINT32_MAX;
		size_t value_size = removed ? 0 : head.value_size;
		PyObject *pair = Py_BuildValue("(y#y#)", name, (Py_ssize_t)head.name_size,
					       removed ? NULL : name + head.name_size,
					       (Py_ssize_t)value_size);
		if (!pair || PyList_Append(list, pair) < 0)
			Py_CLEAR(list);
		Py_XDECREF(pair);
		at += (sizeof(head) + head.name_size + value_size + 7) / 8 * 8;
	}
	return list;
}

static PyObject *row_tuple(const struct durable_rows *rows, const struct durable_row *row)
{
	const struct inode_record *record = &row->record;
	uint32_t fields = record->fields, rdev = record->rdev;
	return Py_BuildValue("NNNINNNNN", signed_number(record->identity.dev),
			     signed_number(record->identity.ino), row_birth(record),
			     (unsigned)(record->mode & RULES_TYPE_MASK),
			     number_if(fields & INODE_UID, record->uid),
			     number_if(fields & INODE_GID, record->gid),
			     number_if(fields & INODE_MODE, record->mode & RULES_MODE_MASK),
			     number_if(fields & INODE_TYPE,
				       rules_dev(rules_rdev_major(rdev), rules_rdev_minor(rdev))),
			     row_xattrs(rows, row));
}

static PyObject *rows_result(const struct durable_rows *rows)
{
	PyObject *changed = PyList_New((Py_ssize_t)rows->changed_count);
	PyObject *removed = PyList_New((Py_ssize_t)rows->removed_count);
	for (size_t i = 0; changed && removed && i < rows->changed_count; i++) {
		PyObject *row = row_tuple(rows, &rows->changed[i]);
		if (!row || PyList_SetItem(changed, (Py_ssize_t)i, row) < 0)
			Py_CLEAR(changed);
	}
	for (size_t i = 0; changed && removed && i < rows->removed_count; i++) {
		PyObject *key = Py_BuildValue("NN", signed_number(rows->removed[i].dev),
					      signed_number(rows->removed[i].ino));
		if (!key || PyList_SetItem(removed, (Py_ssize_t)i, key) < 0)
			Py_CLEAR(removed);
	}
	if (!changed || !removed) {
		Py_XDECREF(changed);
		Py_XDECREF(removed);
		return NULL;
	}
	return Py_BuildValue("NNO", changed, removed, rows->whole ? Py_True : Py_False);
}

static PyObject *live_collect(PyObject *self, PyObject *whole)
{
	struct live_object *live = (struct live_object *)self;
	struct session *collected = live_session(self);
	int all = collected ? PyObject_IsTrue(whole) : -1;
	int error;
	if (all < 0)
		return NULL;
	durable_free(&live->rows);
	Py_BEGIN_ALLOW_THREADS
	error = durable_collect(collected, all, &live->rows);
	Py_END_ALLOW_THREADS
	PyObject *result = error ? raise_errno(error) : rows_result(&live->rows);
	if (!result)
		durable_give_up(collected);
	return result;
}

static PyObject *live_rows(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct session *seen = live_session(self);
	struct durable_rows rows;
	int error;
	if (!seen)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	error = durable_read(seen, &rows);
	Py_END_ALLOW_THREADS
	PyObject *all = error ? raise_errno(error) : rows_result(&rows);
	durable_free(&rows);
	PyObject *result = all ? Py_NewRef(PyTuple_GetItem(all, 0)) : NULL;
	Py_XDECREF(all);
	return result;
}

static PyObject *live_finish(PyObject *self, PyObject *written)
{
	struct live_object *live = (struct live_object *)self;
	struct session *finished = live_session(self);
	int done = finished ? PyObject_IsTrue(written) : -1;
	if (done < 0)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	if (done)
		durable_finish(finished, &live->rows);
	else
		durable_give_up(finished);
	Py_END_ALLOW_THREADS
	durable_free(&live->rows);
	live->rows = (struct durable_rows){0};
	Py_RETURN_NONE;
}

static bool is_given(PyObject *value)
{
	return value && value != Py_None;
}

// Or 0; with an exception set for what is no number of 32 bits.
static uint32_t given(PyObject *value)
{
	unsigned long number = is_given(value) ? PyLong_AsUnsignedLong(value) : 0;
	if (number > UINT32_MAX && !PyErr_Occurred())
		PyErr_SetString(PyExc_OverflowError, "a number of more than 32 bits");
	return (uint32_t)number;
}

// A file may hold anything. xattr(7): names of up to 255 bytes, values of up to 64 KiB.
static bool xattr_fits(const char *name, const char *value, size_t size)
{
	size_t length = strlen(name);
	bool fits = length > 0 && length <= XATTR_NAME_MAX && size <= XATTR_SIZE_MAX &&
		    file_capability_fits(name, value ? size : 0);
	if (!fits)
		PyErr_SetString(PyExc_ValueError, "an attribute that no file can have");
	return fits;
}

static bool load_xattrs(struct session *into, PyObject *xattrs, uint32_t *reference)
{
	Py_ssize_t count = is_given(xattrs) ? PySequence_Size(xattrs) : 0;
	for (Py_ssize_t i = 0; i < count; i++) {
		const char *name, *value;
		Py_ssize_t size;
		PyObject *pair = PySequence_GetItem(xattrs, i);
		bool parsed = pair && PyArg_ParseTuple(pair, "yz#", &name, &value, &size) &&
			      xattr_fits(name, value, (size_t)size);
		int error = parsed ? xattr_store_put(into, reference, name, value, (size_t)size)
				   : -EINVAL;
		Py_XDECREF(pair);
		if (!parsed)
			return false;
		if (error) {
			raise_errno(error);
			return false;
		}
	}
	return count >= 0;
}

static bool parse_row(PyObject *row, struct inode_record *record_ret, PyObject **xattrs_ret)
{
	long long dev, ino;
	unsigned type;
	PyObject *birth, *uid, *gid, *mode, *rdev;
	if (!PyArg_ParseTuple(row, "LLOIOOOOO", &dev, &ino, &birth, &type, &uid, &gid, &mode, &rdev,
			      xattrs_ret))
		return false;
	*record_ret = (struct inode_record){
		.identity = {.dev = (uint64_t)dev, .ino = (uint64_t)ino},
		.uid = given(uid),
		.gid = given(gid),
		.mode = (given(mode) & RULES_MODE_MASK) | (type & RULES_TYPE_MASK),
		.fields = (is_given(uid) ? INODE_UID : 0u) | (is_given(gid) ? INODE_GID : 0u) |
			  (is_given(mode) ? INODE_MODE : 0u) | (is_given(rdev) ? INODE_TYPE : 0u) |
			  (is_given(birth) ? 0u : INODE_ANY_BIRTH),
	};
	if (is_given(birth)) {
		long long nanoseconds = PyLong_AsLongLong(birth);
		long long seconds = nanoseconds / 1000000000, part = nanoseconds % 1000000000;
		record_ret->identity.btime_sec = part < 0 ? seconds - 1 : seconds;
		record_ret->identity.btime_nsec = (uint32_t)(part < 0 ? part + 1000000000 : part);
	}
	if (is_given(rdev)) {
		if ((type & RULES_TYPE_MASK) != S_IFCHR && (type & RULES_TYPE_MASK) != S_IFBLK) {
			PyErr_SetString(PyExc_ValueError, "a device number and no device type");
			return false;
		}
		unsigned long long number = PyLong_AsUnsignedLongLong(rdev);
		record_ret->rdev = rules_rdev_encode(gnu_dev_major(number), gnu_dev_minor(number));
	}
	return !PyErr_Occurred();
}

static PyObject *live_load(PyObject *self, PyObject *rows)
{
	struct session *into = live_session(self);
	Py_ssize_t count = into ? PyList_Size(rows) : -1;
	for (Py_ssize_t i = 0; i < count; i++) {
		struct inode_record record;
		PyObject *xattrs;
		if (!parse_row(PyList_GetItem(rows, i), &record, &xattrs) ||
		    !load_xattrs(into, xattrs, &record.xattrs))
			return NULL;
		int error = durable_load(into, &record);
		if (error)
			return raise_errno(error);
	}
	if (count < 0)
		return NULL;
	Py_RETURN_NONE;
}

// fakeroot_sc/state/edits.py has these numbers.
_Static_assert(INODE_UID == 1 && INODE_GID == 2 && INODE_MODE == 4 && INODE_TYPE == 8 &&
		       INODE_ANY_BIRTH == 32,
	       "of the fields that an edit names");

// As many elements as the list has, to be freed with PyMem_Free(); NULL with an exception set.
static struct durable_xattr_edit *parse_xattr_edits(PyObject *list)
{
	Py_ssize_t count = PyList_Size(list);
	struct durable_xattr_edit *edits = PyMem_Calloc((size_t)count + 1, sizeof(*edits));
	if (!edits)
		return (void *)PyErr_NoMemory();
	for (Py_ssize_t i = 0; i < count; i++) {
		struct durable_xattr_edit *edit = &edits[i];
		Py_ssize_t size;
		const char *value;
		int forget;
		if (!PyArg_ParseTuple(PyList_GetItem(list, i), "yz#p", &edit->name, &value, &size,
				      &forget) ||
		    !xattr_fits(edit->name, value, (size_t)size)) {
			PyMem_Free(edits);
			return NULL;
		}
		edit->value = value;
		edit->size = (size_t)size;
		edit->forget = forget;
	}
	return edits;
}

static bool edit_one(struct session *into, PyObject *tuple)
{
	PyObject *row, *xattrs, *ignored;
	struct durable_edit edit = {0};
	struct durable_xattr_edit *list = NULL;
	if (!PyArg_ParseTuple(tuple, "OIO", &row, &edit.fields, &xattrs) ||
	    !parse_row(row, &edit.record, &ignored))
		return false;
	edit.remove = xattrs == Py_None;
	if (!edit.remove) {
		if (!PyList_Check(xattrs)) {
			PyErr_SetString(PyExc_TypeError, "the attributes of an edit are a list");
			return false;
		}
		edit.xattrs = list = parse_xattr_edits(xattrs);
		if (!list)
			return false;
		edit.xattr_count = (size_t)PyList_Size(xattrs);
	}
	int error = durable_edit(into, &edit);
	PyMem_Free(list);
	if (error)
		raise_errno(error);
	return !error;
}

static PyObject *live_edit(PyObject *self, PyObject *edits)
{
	struct session *into = live_session(self);
	Py_ssize_t count = into ? PyList_Size(edits) : -1;
	if (count < 0)
		return NULL;
	uint32_t *made = &into->page->shared.edits_made;
	metadata_settle_all(into);
	// Read once each: the file may be written to.
	for (uint32_t i = *made; i < count; *made = ++i)
		if (!edit_one(into, PyList_GetItem(edits, i)))
			return NULL;
	Py_RETURN_NONE;
}

static PyObject *note_text(PyObject *self, enum session_text text, PyObject *bytes)
{
	struct session *into = live_session(self);
	char *start;
	Py_ssize_t size;
	if (!into || PyBytes_AsStringAndSize(bytes, &start, &size) < 0)
		return NULL;
	int error = durable_note(into, text, start, (size_t)size);
	if (error)
		return raise_errno(error);
	Py_RETURN_NONE;
}

static PyObject *noted_text(PyObject *self, enum session_text text)
{
	struct session *from = live_session(self);
	size_t size;
	unsigned char *bytes = from ? durable_noted(from, text, &size) : NULL;
	if (!from)
		return NULL;
	if (!bytes && size)
		return PyErr_NoMemory();
	PyObject *result = PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)size);
	free(bytes);
	return result;
}

static PyObject *live_note(PyObject *self, PyObject *bytes)
{
	return note_text(self, SESSION_EDITS, bytes);
}

static PyObject *live_noted(PyObject *self, PyObject *unused)
{
	(void)unused;
	return noted_text(self, SESSION_EDITS);
}

static PyObject *live_set_devices(PyObject *self, PyObject *bytes)
{
	return note_text(self, SESSION_DEVICES, bytes);
}

static PyObject *live_devices(PyObject *self, PyObject *unused)
{
	(void)unused;
	return noted_text(self, SESSION_DEVICES);
}

static PyObject *live_watch(PyObject *self, PyObject *program)
{
	struct session *watched = live_session(self);
	const char *name = watched ? PyBytes_AsString(program) : NULL;
	if (!name)
		return NULL;
	live_note_run(watched, name);
	if (!watched->places)
		watched->places = places_new(watched);
	Py_RETURN_NONE;
}

static void add_place(const char *name, size_t size, void *list)
{
	PyObject **places = list;
	PyObject *place = *places ? PyBytes_FromStringAndSize(name, (Py_ssize_t)size) : NULL;
	if (*places && (!place || PyList_Append(*places, place) < 0))
		Py_CLEAR(*places);
	Py_XDECREF(place);
}

static PyObject *live_places(PyObject *self, PyObject *unused)
{
	(void)unused;
	struct session *seen = live_session(self);
	PyObject *list = seen ? PyList_New(0) : NULL;
	if (!list)
		return NULL;
	durable_visit_places(seen, add_place, &list);
	struct places *places = seen->places;
	if (!places)
		return list;
	pthread_mutex_lock(&places->lock);
	size_t count = places->count;
	pthread_mutex_unlock(&places->lock);
	for (size_t i = 0; i < count; i++)
		add_place(places->names[i], strlen(places->names[i]), &list);
	return list;
}

static PyObject *live_flag(PyObject *self, void *which)
{
	const struct session *seen = live_session(self);
	if (!seen)
		return NULL;
	switch (*(const char *)which) {
	case 'a':
		return PyBool_FromLong(((struct live_object *)self)->alone);
	case 'c':
		metadata_settle_all(((struct live_object *)self)->session);
		return PyBool_FromLong(atomic_load(&seen->page->shared.changed) ||
				       atomic_load(&seen->page->shared.writing) ||
				       atomic_load(&seen->lost));
	case 'k':
		return PyLong_FromUnsignedLong(seen->crash_lost);
	case 'l':
		return PyBool_FromLong(atomic_load(&seen->lost));
	case 'g': {
		char program[SESSION_PROGRAM_BYTES];
		live_program(seen, program);
		if (!*program)
			Py_RETURN_NONE;
		return PyBytes_FromString(program);
	}
	default:
		return PyLong_FromUnsignedLongLong(seen->page->pass);
	}
}

static Py_ssize_t live_length(PyObject *self)
{
	const struct session *seen = live_session(self);
	return seen ? (Py_ssize_t)inode_table_count(&seen->table) : -1;
}

// What a run would do otherwise than those that use the memory: "-u", "ulimit -x" or "".
static PyObject *live_differs(PyObject *self, PyObject *unknown_is_real)
{
	const struct session *seen = live_session(self);
	int wanted = seen ? PyObject_IsTrue(unknown_is_real) : -1;
	if (wanted < 0)
		return NULL;
	struct rlimit limit = {0};
	getrlimit(RLIMIT_LOCKS, &limit);
	const char *what = "";
	if (seen->page->shared.published && limit.rlim_cur != seen->page->root_tag)
		what = "ulimit -x";
	if (seen->page->shared.published && wanted != (int)seen->page->unknown_is_real)
		what = "-u";
	return PyUnicode_FromString(what);
}

static PyMethodDef live_methods[] = {
	{"differs", live_differs, METH_O, NULL},
	{"share", live_share_method, METH_NOARGS, NULL},
	{"clear", live_clear_method, METH_NOARGS, NULL},
	{"leave", live_leave_method, METH_NOARGS, NULL},
	{"standing", live_standing_method, METH_NOARGS, NULL},
	{"stand", live_stand_method, METH_VARARGS, NULL},
	{"begin", live_begin, METH_O, NULL},
	{"end", live_end, METH_NOARGS, NULL},
	{"collect", live_collect, METH_O, NULL},
	{"finish", live_finish, METH_O, NULL},
	{"rows", live_rows, METH_NOARGS, NULL},
	{"load", live_load, METH_O, NULL},
	{"edit", live_edit, METH_O, NULL},
	{"note", live_note, METH_O, NULL},
	{"noted", live_noted, METH_NOARGS, NULL},
	{"set_devices", live_set_devices, METH_O, NULL},
	{"devices", live_devices, METH_NOARGS, NULL},
	{"watch", live_watch, METH_O, NULL},
	{"places", live_places, METH_NOARGS, NULL},
	{0},
};

static PyGetSetDef live_attributes[] = {
	{"alone", live_flag, NULL, NULL, "a"},
	{"changed", live_flag, NULL, NULL, "c"},
	{"crash_lost", live_flag, NULL, NULL, "k"},
	{"lost", live_flag, NULL, NULL, "l"},
	{"session_pass", live_flag, NULL, NULL, "p"},
	{"program", live_flag, NULL, NULL, "g"},
	{0},
};

static PyType_Slot live_slots[] = {
	{Py_tp_new, live_new},
	{Py_tp_dealloc, live_dealloc},
	{Py_tp_methods, live_methods},
	{Py_tp_getset, live_attributes},
	{Py_mp_length, live_length},
	{0, NULL},
};

static PyType_Spec live_spec = {
	.name = "fakeroot_sc._core.Live",
	.basicsize = sizeof(struct live_object),
	.flags = Py_TPFLAGS_DEFAULT,
	.slots = live_slots,
};

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

static const char *const stage_names[] = {
#define X(name) #name,
	LAUNCH_STAGES(X)
#undef X
};

// As Python knows it: the stage, its errno, the call that was refused.
static PyObject *launch_result(const struct launch_failure *failure)
{
	return Py_BuildValue("sis", stage_names[failure->stage], failure->error, failure->call);
}

static void run_fall_back(enum launch_mode mode, const struct launch_failure *reason)
{
	PyGILState_STATE state = PyGILState_Ensure();
	PyObject *done = PyObject_CallFunction(python_fall_back, "isis", (int)mode,
					       stage_names[reason->stage], reason->error,
					       reason->call);
	if (!done)
		PyErr_Print();
	Py_XDECREF(done);
	PyGILState_Release(state);
}

static void start(const struct launch_plan *plan, int control, struct launch_failure *failure_ret)
{
	pid_t command = 0;
	prctl(PR_SET_NAME, "fakeroot-sc", 0, 0, 0);
	// Yama lets only ancestors read a process: orphans must stay below us.
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	fcntl(control, F_SETFD, FD_CLOEXEC);
	if (launch(session, plan, &command, failure_ret) != LAUNCH_NONE)
		return;
	session_detach_errors();
	control_send(control, CONTROL_STARTED, command);
	*failure_ret = (struct launch_failure){.error = supervise(session, command)};
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
		status = CONTROL_TROUBLE;
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
	int error = fakeroot_text_load(session, text, (size_t)size, &wrong);
	if (error == -EINVAL) {
		PyObject *arguments = Py_BuildValue("ns", (Py_ssize_t)wrong.line, wrong.why);
		PyErr_SetObject(PyExc_ValueError, arguments);
		Py_XDECREF(arguments);
	} else if (error) {
		raise_errno(error);
	}
	return !error;
}

// A new session, or that of a live memory.
static int prepare(PyObject *live, uint64_t pass, bool unknown_is_real)
{
	session = live == Py_None ? calloc(1, sizeof(*session)) : live_session(live);
	if (!session)
		return -ENOMEM;
	if (live == Py_None)
		session_init(session);
	int error = session_create(session);
	if (error)
		return error;
	session_publish(session, pass, unknown_is_real);
	credentials_init(session);
	return 0;
}

static PyObject *core_run(PyObject *module, PyObject *args)
{
	(void)module;
	PyObject *argv, *env, *origin, *shim, *handler, *load, *ended, *live, *fall_back;
	const char *filter;
	Py_ssize_t filter_size;
	int control, unknown_is_real, mode;
	unsigned long long pass;
	struct launch_plan plan = {0};
	if (!PyArg_ParseTuple(args, "O!O!y#O!ipKOOOOOiO", &PyList_Type, &argv, &PyList_Type, &env,
			      &filter, &filter_size, &PyTuple_Type, &origin, &control,
			      &unknown_is_real, &pass, &shim, &handler, &load, &ended, &live,
			      &mode, &fall_back) ||
	    parse_origin(origin, &plan.origin) < 0)
		return NULL;
	if (live != Py_None && !live_session(live))
		return NULL;
	char **arguments = string_array(argv);
	char **environment = arguments ? string_array(env) : NULL;
	if (!environment) {
		PyMem_Free(arguments);
		return NULL;
	}
	plan.mode = (enum launch_mode)mode;
	if (fall_back != Py_None) {
		python_fall_back = Py_NewRef(fall_back);
		plan.fall_back = run_fall_back;
	}
	plan.argv = arguments;
	plan.envp = environment;
	plan.filter = filter;
	plan.filter_size = (size_t)filter_size;

	int error = prepare(live, pass, unknown_is_real);
	struct launch_failure failure = {.stage = LAUNCH_PREPARE, .error = -error};
	if (error == -ENOENT)
		failure.stage = LAUNCH_PROC;
	else if (error == -EXDEV)
		failure.stage = LAUNCH_PIDS;
	else if (error && session)
		snprintf(failure.call, sizeof(failure.call), "%s", session->refused);
	if (!error) {
		preload_init(&session->preload, shim == Py_None ? NULL : PyBytes_AsString(shim));
		session->control = control;
		session->python = run_python;
		python_handler = Py_NewRef(handler);
		if (ended != Py_None) {
			python_ended = Py_NewRef(ended);
			session->ended = run_ended;
			session->page->saved = live == Py_None;
		}
		if (!load_records(load)) {
			PyMem_Free(arguments);
			PyMem_Free(environment);
			return NULL;
		}
		Py_BEGIN_ALLOW_THREADS
		start(&plan, control, &failure);
		Py_END_ALLOW_THREADS
	}
	PyMem_Free(arguments);
	PyMem_Free(environment);
	return launch_result(&failure);
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
	char *text = fakeroot_text_dump(session, &size, &with_xattrs);
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

static PyObject *core_contents(PyObject *module, PyObject *path)
{
	(void)module;
	const char *name = PyBytes_AsString(path);
	uint64_t contents = 0;
	bool known;
	if (!name)
		return NULL;
	Py_BEGIN_ALLOW_THREADS
	SCOPED_FD fd = open(name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	known = fd >= 0 && file_contents(fd, &contents);
	Py_END_ALLOW_THREADS
	return number_if(known, contents);
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
	{"contents", core_contents, METH_O, NULL},
	{0},
};

static int module_exec(PyObject *module)
{
	request_type = PyType_FromSpec(&request_spec);
	PyObject *table_type = PyType_FromSpec(&table_spec);
	PyObject *live_type = PyType_FromSpec(&live_spec);
	if (!request_type || !table_type || !live_type ||
	    PyModule_AddObjectRef(module, "Request", request_type) < 0 ||
	    PyModule_AddObjectRef(module, "InodeTable", table_type) < 0 ||
	    PyModule_AddObjectRef(module, "Live", live_type) < 0)
		return -1;
	Py_DECREF(table_type);
	Py_DECREF(live_type);
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
