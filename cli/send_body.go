package cli

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"postroom/assets/designs"
	"postroom/compose"
	"postroom/post"
	"postroom/storage"
)

// maxBody is how large a body may be, in bytes: a text of that size is a
// mistake, pictures belong beside it.
const maxBody = 5 << 20

// message reads what is to be sent into job: the body, what the flags say beside
// it, and the look.
func (a *app) message(ctx context.Context, l *storage.Ledger, f *sendFlags, job *compose.Job) error {
	if f.body == "" {
		return usage("give the file with the message: --body letter.md")
	}
	in, err := readBody(ctx, l, f.body)
	if err != nil {
		return err
	}
	job.Removed, job.Content = in.Removed, in.Content
	if err := f.override(&job.Content); err != nil {
		return err
	}
	if f.pictureWidth < 0 {
		return usage("--picture-width is how many pixels wide pictures may be: 1 or more")
	}
	if f.pictureWidth > 0 {
		if _, err := compose.ShrinkPictures(ctx, &job.Content, f.pictureWidth, l); err != nil {
			return err
		}
	}
	if f.text != "" {
		if job.Content.Text, err = readText(f.text, job.Content.Format); err != nil {
			return err
		}
	}
	if f.design != "" {
		if job.Content.Format != post.FormatMarkdown {
			return usage("--design is for a body in Markdown (.md)")
		}
		if err := dress(ctx, l, f.design, job.Senders[0], &job.Content); err != nil {
			return err
		}
	}
	if f.promotional || in.Promotional {
		return promote(ctx, l, f, job)
	}
	return nil
}

// readText reads the text alternative of a body.
func readText(name string, body post.BodyFormat) (string, error) {
	if body == post.FormatText {
		return "", usage("--text is for a body in Markdown or HTML; this one is plain text already")
	}
	b, err := readSmall(name, maxBody)
	if err != nil {
		return "", err
	}
	text := strings.TrimPrefix(string(b), "\ufeff")
	if !utf8.ValidString(text) {
		return "", usage("%s is not in UTF-8; save it as UTF-8 and try again", name)
	}
	if strings.TrimSpace(text) == "" {
		return "", usage("%s is empty; without --text the text version is made from the body", name)
	}
	return text, nil
}

// readBody reads a message from a file or folder.
func readBody(ctx context.Context, l *storage.Ledger, name string) (in compose.Imported, err error) {
	if info, serr := os.Stat(name); serr == nil && info.IsDir() {
		dir, err := filepath.Abs(name)
		if err != nil {
			return in, &post.Error{Kind: post.KindInvalid, Message: "the folder " + name + " cannot be found", Err: err}
		}
		return compose.ImportFolder(dir)
	}
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".md", ".markdown":
		in.Content.Format = post.FormatMarkdown
	case ".html", ".htm":
		in.Content.Format = post.FormatHTML
	case ".txt":
		in.Content.Format = post.FormatText
	case ".eml":
		raw, err := readSmall(name, compose.MaxMessage)
		if err != nil {
			return in, err
		}
		return compose.ImportEML(ctx, raw, l)
	default:
		return in, usage("the name of the body must end in .md, .html or .txt (or .eml), not %q", ext)
	}
	b, err := readSmall(name, maxBody)
	if err != nil {
		return in, err
	}
	if in.Content.Body = strings.TrimPrefix(string(b), "\ufeff"); !utf8.ValidString(in.Content.Body) {
		return in, usage("%s is not in UTF-8; save it as UTF-8 and try again", name)
	}
	in.Content, in.Removed, err = compose.Tidy(in.Content, filepath.Dir(name))
	return in, err
}

// override puts what the flags say in place of what the message brought along.
func (f *sendFlags) override(c *post.Content) (err error) {
	if f.subject != "" || f.changed("subject") {
		c.Subject = f.subject
	}
	if f.changed("preview-text") {
		c.Preview = f.preview
	}
	if f.changed("reply-to") {
		c.ReplyTo = strings.TrimSpace(f.replyTo)
	}
	if f.changed("read-receipt") {
		c.ReadReceipt = f.readReceipt
	}
	switch p := post.Priority(strings.ToLower(f.priority)); {
	case !f.changed("priority"):
	case p == post.PriorityHigh || p == post.PriorityLow:
		c.Priority = p
	case p == "normal":
		c.Priority = ""
	default:
		return usage("--priority is high, normal or low, not %q", f.priority)
	}
	if f.changed("dsn") || c.DSN == "" {
		c.DSN = post.DSN(strings.ToLower(f.dsn))
	}
	switch c.DSN {
	case post.DSNNone, post.DSNFailure, post.DSNAll:
	default:
		return usage("--dsn is none, failure or all, not %q", f.dsn)
	}
	if len(f.attachAs) > len(f.attach) {
		return usage("--attach-as names the file of an --attach, the first the first; there are more names than files")
	}
	for i, name := range f.attach {
		path, err := filepath.Abs(name)
		if err != nil {
			return &post.Error{Kind: post.KindInvalid, Message: "the file " + name + " cannot be found", Err: err}
		}
		x := post.Attachment{Name: filepath.Base(path), Path: path}
		if i < len(f.attachAs) && f.attachAs[i] != "" {
			x.Name = f.attachAs[i]
		}
		c.Attachments = append(c.Attachments, x)
	}
	if f.attachColumn == "" && f.attachRoot != "" {
		f.attachColumn = c.AttachColumn
	}
	if (f.attachColumn == "") != (f.attachRoot == "") {
		return usage("--attach-column and --attach-root go together: the field that names the file, and the folder it is in")
	}
	if f.attachColumnAs != "" && f.attachColumn == "" {
		return usage("--attach-column-as goes with --attach-column")
	}
	if f.attachColumn == "" {
		if c.AttachColumn != "" {
			return usage("this mailing has a file for each recipient: give the folder that they are in, --attach-root DIR")
		}
		return nil
	}
	c.AttachColumn = f.attachColumn
	if f.attachColumnAs != "" {
		c.AttachAs = f.attachColumnAs
	}
	if c.AttachRoot, err = filepath.Abs(f.attachRoot); err != nil {
		return &post.Error{Kind: post.KindInvalid, Message: "the folder " + f.attachRoot + " cannot be found", Err: err}
	}
	return nil
}

// dress puts a mailing into a design, in the look of the account it is from.
func dress(ctx context.Context, l *storage.Ledger, design string, from post.Sender, c *post.Content) error {
	h, err := l.Letterhead(ctx, from.Account)
	if err != nil {
		return err
	}
	name := cmp.Or(from.FromName, from.Email)
	if c.Design, err = designs.Dress(design, h, name); err != nil {
		return usage("%s", oneLine(err.Error()))
	}
	if len(h.Logo) == 0 {
		return nil
	}
	sum, size, err := l.Put(ctx, bytes.NewReader(h.Logo))
	if err != nil {
		return err
	}
	kind := compose.MediaType("logo", h.Logo)
	_, ext, _ := strings.Cut(kind, "/")
	c.Attachments = append(c.Attachments, post.Attachment{
		Name: "logo." + ext, SHA256: sum, Size: size, Type: kind, CID: designs.LogoCID,
	})
	return nil
}

// promote marks a mailing as promotional, under the letterhead of its first account.
func promote(ctx context.Context, l *storage.Ledger, f *sendFlags, job *compose.Job) error {
	h, err := l.Letterhead(ctx, job.Senders[0].Account)
	if err != nil {
		return err
	}
	list := f.list
	if list == "" {
		list = "mailings"
	}
	job.Content.Promotion = h.Promote(list)
	return nil
}

func (a *app) mailingExport() *cobra.Command {
	return &cobra.Command{
		Use: "export ID FOLDER", Short: "Write what a mailing said into a new folder that send takes",
		Long: `Export writes the words, the files and the look of a mailing into a new folder:
message.md (or .html, .txt), attachments, and mailing.json with the rest. Nobody's
data is in it. Edit it as you like and send it with: postroom send --body FOLDER`,
		Example: "  postroom mailing export 3 spring/\n  postroom send --account shop --list Guests --body spring/",
		Args:    takes(2, "the number of the mailing and the new folder"),
		RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			m, err := l.Mailing(ctx, id)
			if err != nil {
				return err
			}
			return a.exported(ctx, l, m.Content, args[1])
		}),
	}
}

func (a *app) designCommand() *cobra.Command {
	var account, lang string
	c := &cobra.Command{
		Use: "design [NAME FOLDER]", Short: "List the starter designs, or begin a mailing with one",
		Long: `Without a name the designs are listed. With one, a new folder is written with the
design's look, in the account's colour and with its logo, and a text to begin
with. Edit message.md and mailing.json, and send it with: postroom send --body FOLDER`,
		Example: "  postroom design newsletter spring/ --account shop --lang zh-Hans",
		Args:    cobra.MatchAll(cobra.MaximumNArgs(2)),
	}
	c.Flags().StringVar(&account, "account", "", "the `account` whose letterhead it takes")
	c.Flags().StringVar(&lang, "lang", "en", "the language of the text: en or zh-Hans")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		if len(args) == 0 {
			for _, name := range designs.Names() {
				if a.json {
					if err := a.object(map[string]string{"design": name}); err != nil {
						return err
					}
					continue
				}
				a.say("%s", name)
			}
			return nil
		}
		if len(args) != 2 || account == "" {
			return usage("give the design, a new folder and the account: postroom design letter spring/ --account shop")
		}
		x, err := l.AccountByName(ctx, account)
		if err != nil {
			return err
		}
		s, err := designs.Start(args[0], lang, cmp.Or(x.FromName, x.Email))
		if err != nil {
			return usage("%s", oneLine(err.Error()))
		}
		content := post.Content{Subject: s.Subject, Preview: s.Preview, Format: post.FormatMarkdown, Body: s.Body}
		if err := dress(ctx, l, args[0], post.Sender{Account: x.ID, Email: x.Email, FromName: x.FromName}, &content); err != nil {
			return err
		}
		return a.exported(ctx, l, content, args[1])
	})
	return c
}

// exported writes a content into a folder and says so.
func (a *app) exported(ctx context.Context, l *storage.Ledger, c post.Content, folder string) error {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return &post.Error{Kind: post.KindInvalid, Message: "the folder " + folder + " cannot be found", Err: err}
	}
	if err := compose.ExportFolder(ctx, c, l, dir); err != nil {
		return err
	}
	if a.json {
		return a.object(map[string]string{"folder": dir})
	}
	a.say("written: %s", oneLine(dir))
	return nil
}
