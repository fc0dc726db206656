//go:build unix && (amd64 || arm64)

package faultdisk

import (
	"bytes"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// Offsets in sqlite3_vfs and sqlite3_io_methods of a 64-bit system
// (https://sqlite.org/c3ref/vfs.html, io_methods.html).
const (
	vfsOpen   = 40
	vfsDelete = 48

	ioClose    = 8
	ioWrite    = 24
	ioTruncate = 32
	ioSync     = 40
	ioShmLock  = 112
	ioSize     = 152
)

// The functions that are replaced, as the translated library calls them.
type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	deleteFunc   = func(tls *libc.TLS, vfs, name uintptr, sync int32) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	writeFunc    = func(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
	shmLockFunc  = func(tls *libc.TLS, file uintptr, offset, n, flags int32) int32
)

// shim is installed once in a process, under the default VFS.
var shim struct {
	once    sync.Once
	mu      sync.Mutex
	open    openFunc
	remove  deleteFunc
	methods map[uintptr]*methods // by the table that the VFS gave a file
	files   map[uintptr]*openFile
}

// methods is one table of functions and the copy that stands in for it.
type methods struct {
	close    closeFunc
	write    writeFunc
	truncate truncateFunc
	sync     syncFunc
	shmLock  shmLockFunc
	table    uintptr
}

type openFile struct {
	*methods
	disk *Disk
	path string
}

// at is memory of the library, which lies outside of Go's.
//
//go:noinline
func at(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

func field[F any](table, offset uintptr) *F { return (*F)(at(table + offset)) }

func install() {
	shim.methods, shim.files = map[uintptr]*methods{}, map[uintptr]*openFile{}
	tls := libc.NewTLS()
	vfs := sqlite3.Xsqlite3_vfs_find(tls, 0)
	shim.open, shim.remove = *field[openFunc](vfs, vfsOpen), *field[deleteFunc](vfs, vfsDelete)
	*field[openFunc](vfs, vfsOpen) = onOpen
	*field[deleteFunc](vfs, vfsDelete) = onDelete
}

func onOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	rc := shim.open(tls, vfs, name, file, flags, out)
	if rc != sqlite3.SQLITE_OK || name == 0 {
		return rc
	}
	path := libc.GoString(name)
	disk := diskOf(path)
	if disk == nil {
		return rc
	}
	disk.opened(path)
	shim.mu.Lock()
	defer shim.mu.Unlock()
	given := field[uintptr](file, 0)
	m := shim.methods[*given]
	if m == nil {
		m = copyMethods(tls, *given)
		shim.methods[*given] = m
	}
	*given = m.table
	shim.files[file] = &openFile{methods: m, disk: disk, path: path}
	return rc
}

func copyMethods(tls *libc.TLS, table uintptr) *methods {
	m := &methods{
		close: *field[closeFunc](table, ioClose), write: *field[writeFunc](table, ioWrite), truncate: *field[truncateFunc](table, ioTruncate),
		sync: *field[syncFunc](table, ioSync), shmLock: *field[shmLockFunc](table, ioShmLock),
		table: libc.Xmalloc(tls, ioSize),
	}
	libc.Xmemcpy(tls, m.table, table, ioSize)
	*field[closeFunc](m.table, ioClose) = onClose
	*field[writeFunc](m.table, ioWrite) = onWrite
	*field[truncateFunc](m.table, ioTruncate) = onTruncate
	*field[syncFunc](m.table, ioSync) = onSync
	*field[shmLockFunc](m.table, ioShmLock) = onShmLock
	return m
}

func fileAt(file uintptr) *openFile {
	shim.mu.Lock()
	defer shim.mu.Unlock()
	return shim.files[file]
}

func onDelete(tls *libc.TLS, vfs, name uintptr, sync int32) int32 {
	path := libc.GoString(name)
	d := diskOf(path)
	if d == nil {
		return shim.remove(tls, vfs, name, sync)
	}
	if code := d.before(Op{Kind: Delete, Path: path}); code != 0 {
		return code
	}
	rc := shim.remove(tls, vfs, name, sync)
	if rc == sqlite3.SQLITE_OK {
		d.removed(path, sync != 0)
	}
	return rc
}

func onClose(tls *libc.TLS, file uintptr) int32 {
	f := fileAt(file)
	shim.mu.Lock()
	delete(shim.files, file)
	shim.mu.Unlock()
	return f.close(tls, file)
}

func onWrite(tls *libc.TLS, file, data uintptr, n int32, offset int64) int32 {
	f := fileAt(file)
	if code := f.disk.before(Op{Kind: Write, Path: f.path, Offset: offset, Len: int(n)}); code != 0 {
		return code
	}
	rc := f.write(tls, file, data, n, offset)
	if rc == sqlite3.SQLITE_OK {
		f.disk.wrote(f.path, offset, bytes.Clone(libc.GoBytes(data, int(n))))
	}
	return rc
}

func onTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	f := fileAt(file)
	if code := f.disk.before(Op{Kind: Truncate, Path: f.path, Offset: size}); code != 0 {
		return code
	}
	rc := f.truncate(tls, file, size)
	if rc == sqlite3.SQLITE_OK {
		f.disk.truncated(f.path, size)
	}
	return rc
}

func onSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := fileAt(file)
	if code := f.disk.before(Op{Kind: Sync, Path: f.path}); code != 0 {
		return code
	}
	done := f.disk.syncing(f.path)
	rc := f.sync(tls, file, flags)
	if rc == sqlite3.SQLITE_OK {
		done()
	}
	return rc
}

// onShmLock: the lock of the one writer is byte 0 of the shared memory, taken
// exclusively (https://sqlite.org/walformat.html#locks).
func onShmLock(tls *libc.TLS, file uintptr, offset, n, flags int32) int32 {
	f := fileAt(file)
	if flags == sqlite3.SQLITE_SHM_LOCK|sqlite3.SQLITE_SHM_EXCLUSIVE && offset == 0 {
		if code := f.disk.before(Op{Kind: Lock, Path: f.path}); code != 0 {
			return code
		}
	}
	return f.shmLock(tls, file, offset, n, flags)
}
