package storage

import (
	"archive/zip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"

	"postroom/post"
)

// Backup writes one file with the whole ledger: a compact copy of the database
// as it stands at this moment, and the attachments, in a zip archive. Secrets
// are not in it. The file appears under its name only when it is complete;
// one that exists already is not replaced.
func (l *Ledger) Backup(ctx context.Context, dst string) error {
	const op = "back up"
	if _, err := os.Lstat(dst); err == nil {
		return post.Errorf(post.KindConflict, op, "%s exists already; choose another name", dst)
	}
	dir, err := os.MkdirTemp(l.dir, "backup-*")
	if err != nil {
		return classify(op, err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a leftover is cleared at the next backup
	copied := filepath.Join(dir, FileName)
	if err := copyLedger(ctx, filepath.Join(l.dir, FileName), copied); err != nil {
		return classify(op, err)
	}
	tmp := dst + ".tmp"
	if err := l.writeArchive(ctx, tmp, copied); err != nil {
		return classify(op, errors.Join(err, ignoreMissing(os.Remove(tmp))))
	}
	return classify(op, finishFile(tmp, dst))
}

// copyLedger writes a compact copy through a connection of its own: the reading
// pool may not even write elsewhere (query_only), and the writer must not be
// held up by a long copy.
func copyLedger(ctx context.Context, src, dst string) error {
	db, err := sql.Open("sqlite", strings.ReplaceAll(dsn(src, true), url.QueryEscape("query_only(1)"), url.QueryEscape("query_only(0)")))
	if err != nil {
		return err
	}
	if err := errors.Join(vacuumInto(ctx, db, dst), db.Close()); err != nil {
		return err
	}
	return dropSecrets(ctx, dst)
}

// dropSecrets takes the sealed tokens out of a copy, and their bytes out of its
// pages: a backup may be kept for longer than the key. With them goes a client
// secret that an older version kept as a setting.
func dropSecrets(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	for _, do := range []string{
		"PRAGMA secure_delete=ON", "DELETE FROM account_secrets", "DELETE FROM settings WHERE key LIKE 'oauth.%.client_secret'",
	} {
		if _, err := db.ExecContext(ctx, do); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	return db.Close()
}

func (l *Ledger) writeArchive(ctx context.Context, tmp, db string) (err error) {
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z := zip.NewWriter(f)
	if err := addFile(ctx, z, FileName, db); err != nil {
		return err
	}
	rows, err := l.r.QueryContext(ctx, "SELECT sha256 FROM blobs")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var sum string
		if err := rows.Scan(&sum); err != nil {
			return err
		}
		if err := addFile(ctx, z, "blobs/"+sum[:2]+"/"+sum, l.blobPath(sum)); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return z.Close()
}

func addFile(ctx context.Context, z *zip.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w, err := z.Create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, readerWithContext{ctx, f})
	return err
}

// Restore replaces the ledger in dir by a backup. What was there is kept beside
// it, under backups/before-restore-TIME. It is refused while another process
// has the mailer's lock. The restored ledger opens with all mailings paused,
// because some of what it thinks is waiting may have been sent since; nothing
// goes out until the user resumes each. Password commands must be confirmed.
func Restore(ctx context.Context, dir, src string, opt Options) error {
	const op = "restore"
	if opt.Clock == nil {
		opt.Clock = post.SystemClock{}
	}
	lock, err := TryLock(dir)
	if err != nil {
		return err
	}
	if lock == nil {
		return post.Errorf(post.KindConflict, op, "Postroom is running; close it and try again")
	}
	defer lock.Unlock() //nolint:errcheck // closing the file releases it in any case
	gate := flock.New(filepath.Join(dir, "open.lock"), flock.SetPermissions(0o600))
	if ok, err := gate.TryLock(); err != nil || !ok {
		return post.Errorf(post.KindConflict, op, "Postroom is being opened; try again")
	}
	fresh, err := os.MkdirTemp(dir, "restore-*")
	if err == nil {
		defer os.RemoveAll(fresh) //nolint:errcheck // empty after a success
		err = unpackBackup(ctx, src, fresh)
	}
	if err == nil {
		err = holdRestored(ctx, fresh, src, opt)
	}
	if err == nil {
		err = swapIn(ctx, dir, fresh, opt)
	}
	return errors.Join(classify(op, err), gate.Unlock())
}

// unpackBackup reads the archive into a folder, refusing anything that a backup
// does not hold.
func unpackBackup(ctx context.Context, src, dir string) error {
	bad := func(err error) error {
		return &post.Error{Kind: post.KindInvalid, Op: "restore", Message: filepath.Base(src) + " is not a backup of Postroom, or is damaged; nothing was changed", Err: err}
	}
	z, err := zip.OpenReader(src)
	if errors.Is(err, fs.ErrNotExist) {
		return &post.Error{Kind: post.KindInvalid, Op: "restore", Message: "there is no file " + src, Err: err}
	}
	if err != nil {
		return bad(err)
	}
	defer z.Close()
	found := false
	for _, f := range z.File {
		name := filepath.FromSlash(f.Name)
		if !filepath.IsLocal(name) || f.Name != FileName && !strings.HasPrefix(f.Name, "blobs/") {
			return bad(fmt.Errorf("unexpected entry %q", f.Name))
		}
		found = found || f.Name == FileName
		if err := unpackFile(ctx, f, filepath.Join(dir, name)); err != nil {
			return bad(err)
		}
	}
	if !found {
		return bad(errors.New("no ledger in it"))
	}
	return nil
}

func unpackFile(ctx context.Context, f *zip.File, dst string) (err error) {
	if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if _, err := io.Copy(w, readerWithContext{ctx, r}); err != nil {
		return err
	}
	return w.Sync()
}

// holdRestored checks the unpacked ledger and pauses everything in it.
func holdRestored(ctx context.Context, dir, src string, opt Options) error {
	l, err := Open(ctx, dir, opt)
	if err != nil {
		return err
	}
	err = l.write(ctx, "restore", func(t *Tx) error {
		why := post.Reason{Key: "mailing.restored", Args: []string{filepath.Base(src)}}
		if _, err := t.exec("UPDATE mailings SET hold='paused', reason=? WHERE hold='' AND finished_at=0", why.Encode()); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE accounts SET command_held=1 WHERE secret='command'"); err != nil {
			return err
		}
		return t.setSetting("ledger.restored_at", t.now.UTC().Format("2006-01-02T15:04:05Z"))
	})
	problems, cerr := l.Check(ctx)
	if len(problems) > 0 {
		cerr = errors.Join(cerr, &post.Error{Kind: post.KindInvalid, Op: "restore", Message: "the backup is damaged (" + problems[0] + "); nothing was changed"})
	}
	return errors.Join(err, cerr, l.Close())
}

// swapIn keeps the present ledger aside and puts the restored one in its place.
// The database itself is replaced by one rename: at no moment is there none.
func swapIn(ctx context.Context, dir, fresh string, opt Options) error {
	aside := filepath.Join(dir, "backups", "before-restore-"+opt.Clock.Now().UTC().Format("20060102-150405.000"))
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	db := filepath.Join(dir, FileName)
	if _, err := os.Lstat(db); err == nil {
		// Folds the log into the file. A ledger too damaged for that is kept
		// as it is, with its log.
		foldLog(ctx, db)
		if err := os.Link(db, filepath.Join(aside, FileName)); err != nil {
			return err
		}
		for _, suffix := range []string{"-wal", "-shm"} {
			if err := ignoreMissing(os.Rename(db+suffix, filepath.Join(aside, FileName+suffix))); err != nil {
				return err
			}
		}
	}
	blobs, err := filepath.Glob(filepath.Join(fresh, "blobs", "*", "*"))
	if err != nil {
		return err
	}
	for _, b := range blobs {
		dst := filepath.Join(dir, "blobs", filepath.Base(filepath.Dir(b)), filepath.Base(b))
		if err := os.MkdirAll(filepath.Dir(dst), 0o700); err != nil {
			return err
		}
		if err := os.Rename(b, dst); err != nil {
			return err
		}
	}
	if err := os.Rename(filepath.Join(fresh, FileName), db); err != nil {
		return err
	}
	return syncDir(dir)
}

// foldLog checkpoints a ledger on a best-effort basis.
func foldLog(ctx context.Context, path string) {
	db, err := sql.Open("sqlite", dsn(path, false))
	if err != nil {
		return
	}
	_, _ = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	_ = db.Close()
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
