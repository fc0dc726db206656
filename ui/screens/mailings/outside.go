package mailings

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"postroom/compose"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
)

// watchEvery is how often a file that is edited outside is looked at.
const watchEvery = 500 * time.Millisecond

// editOutside opens the body in the program that the system has for it, and
// takes over each time it is saved there. The file lies in the folder of the
// ledger and goes when the composer is left.
func (e *editor) editOutside() {
	env := e.v.env
	e.save(func() {
		if e.ctx == nil || e.ctx.Err() != nil {
			return
		}
		d := e.written()
		ctx := e.ctx
		screens.Load(ctx, env, func(context.Context) (string, error) { return writeOutside(env.Ledger.Dir(), d) }, func(path string, err error) {
			if err == nil {
				err = env.OpenURL((&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String())
			}
			if err != nil {
				dialogs.Error(env.Words, env.Window, err)
				return
			}
			go watchFile(ctx, path, d.Content.Body, func(text string) { env.Post(func() { e.fromOutside(ctx, text) }) })
		})
	})
}

func writeOutside(dir string, d post.Draft) (string, error) {
	dir = filepath.Join(dir, "editing")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	ext := map[post.BodyFormat]string{post.FormatMarkdown: ".md", post.FormatHTML: ".html", post.FormatText: ".txt"}[d.Content.Format]
	path := filepath.Join(dir, "message-"+strconv.FormatInt(d.ID, 10)+ext)
	return path, os.WriteFile(path, []byte(d.Content.Body), 0o600)
}

// watchFile tells of each new content of a file until ctx ends, and removes it
// then. What is half written is not told: a content counts when it stands twice.
func watchFile(ctx context.Context, path, was string, changed func(string)) {
	defer os.Remove(path) //nolint:errcheck // it may be gone already
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := was
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		fi, err := os.Stat(path)
		if err != nil || fi.Size() > maxImport {
			continue // programs replace files by renaming
		}
		b, err := os.ReadFile(path)
		if err != nil || !utf8.Valid(b) {
			continue
		}
		text := strings.ReplaceAll(string(b), "\r\n", "\n")
		if text == seen && text != was {
			was = text
			changed(text)
		}
		seen = text
	}
}

// fromOutside takes over what was saved in the other program, as one step.
func (e *editor) fromOutside(ctx context.Context, text string) {
	if ctx.Err() == nil && text != e.body.Text() {
		e.body.Replace(0, utf8.RuneCountInString(e.body.Text()), text)
		e.preview()
	}
}

// tryLinks checks with the links tried, which their servers notice.
func (e *editor) tryLinks() {
	env, d := e.v.env, e.written()
	now := env.Now()
	var found compose.Findings
	dialogs.Work(env.Words, env.Window, env.Post, env.T("composer.checking"), func(ctx context.Context, report func(done, total int64)) error {
		job, err := jobOf(ctx, env.Ledger, d, post.Live, now)
		if err != nil {
			return err
		}
		job.TryLink = compose.LinkTrier(nil)
		found, err = checkJob(ctx, job, env, d, report)
		return err
	}, func(err error) {
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		e.showFindings(groupsOf(&found))
		e.showChecks()
	})
}
