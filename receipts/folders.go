package receipts

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"postroom/accounts"
	"postroom/post"
)

// maxFolderName is the longest name of a folder that is taken, in bytes; servers
// have limits of their own.
const maxFolderName = 255

// CheckHandledFolder refuses a name that no folder for handled reports can have:
// the INBOX, which is what they are moved out of, one that is known for sent mail,
// and one that no folder has. Whether a server takes it shows when a report comes.
// The empty name, for none, is fine. Errors are of post.KindInvalid with a reason.
func CheckHandledFolder(name string) error {
	last := name
	if i := strings.LastIndexAny(name, "/."); i >= 0 {
		last = name[i+1:]
	}
	switch {
	case name == "":
		return nil
	case strings.EqualFold(name, inbox):
		return handledError("handled.inbox", "the INBOX is where reports are moved out of; choose another folder")
	case isSentName(name), isSentName(last):
		return handledError("handled.sent", "that folder is for sent mail; choose another one")
	case len(name) > maxFolderName, strings.ContainsAny(name, "*%"), strings.TrimSpace(name) != name, strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }),
		strings.Trim(name, "/") != name, strings.Contains(name, "//"):
		return handledError("handled.name", "that cannot be the name of a folder")
	}
	return nil
}

func handledError(key, message string) error {
	return &post.Error{Kind: post.KindInvalid, Op: opMove, Message: message, Reason: post.Reason{Key: key}}
}

// notOffered are what folders are that no reports should lie in.
var notOffered = []imap.MailboxAttr{
	imap.MailboxAttrNoSelect, imap.MailboxAttrNonExistent, imap.MailboxAttrSent, imap.MailboxAttrDrafts, imap.MailboxAttrJunk, imap.MailboxAttrTrash,
	imap.MailboxAttrFlagged,
}

// Folders lists the folders of an account's mailbox that reports can be moved to,
// by name: all that hold messages but the INBOX and those that are for something
// else: sent mail, drafts, junk and what is thrown away (RFC 6154). It
// waits for the server no longer than a minute for each answer.
func Folders(ctx context.Context, dial func(context.Context, post.Account) (*accounts.Mailbox, error), a post.Account, log *slog.Logger) ([]string, error) {
	box, err := dial(ctx, a)
	if err != nil {
		return nil, err
	}
	defer box.Close()
	defer time.AfterFunc(time.Minute, box.Abort).Stop()
	box.Allow(maxAnswer)
	all, err := listFolders(box)
	if err != nil {
		return nil, broken(ctx, log, opRead, err)
	}
	sent := sentFolder(all)
	var names []string
	for _, x := range all {
		if !hasAttr(x, notOffered...) && x.Mailbox != sent && CheckHandledFolder(x.Mailbox) == nil {
			names = append(names, x.Mailbox)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// listFolders lists all folders, with what each is for where the server says it
// (RFC 6154).
func listFolders(box *accounts.Mailbox) ([]*imap.ListData, error) {
	options := &imap.ListOptions{}
	if box.Caps().Has(imap.CapSpecialUse) {
		options.ReturnSpecialUse = true
	}
	return box.List("", "*", options).Collect()
}

func hasAttr(x *imap.ListData, some ...imap.MailboxAttr) bool {
	return slices.ContainsFunc(x.Attrs, func(a imap.MailboxAttr) bool {
		return slices.ContainsFunc(some, func(b imap.MailboxAttr) bool { return strings.EqualFold(string(a), string(b)) })
	})
}

// open finds the folder that the user chose, and makes it where there is none.
func (v *handling) open() error {
	defer v.limit(1).Stop()
	if err := CheckHandledFolder(v.account.HandledFolder); err != nil {
		return err
	}
	caps := v.box.Caps()
	if !caps.Has(imap.CapMove) && !caps.Has(imap.CapUIDPlus) { // EXPUNGE alone would remove what others have marked, too (RFC 3501 6.4.3)
		return &post.Error{
			Kind: post.KindRejected, Op: opMove, Reason: post.Reason{Key: "handled.no_move"},
			Message: "the mailbox server can neither move messages (MOVE) nor remove single ones (UIDPLUS); they stay where they are",
		}
	}
	all, err := listFolders(v.box)
	if err != nil {
		return err
	}
	prefix := ""
	if caps.Has(imap.CapNamespace) { // RFC 2342: some servers keep all folders below the INBOX
		spaces, err := v.box.Namespace().Wait()
		if err != nil {
			return err
		}
		if len(spaces.Personal) > 0 {
			prefix = spaces.Personal[0].Prefix
		}
	}
	name, there := folderFor(all, v.account.HandledFolder, prefix)
	if err := CheckHandledFolder(name); err != nil {
		return err
	}
	if name == sentFolder(all) {
		return &post.Error{
			Kind: post.KindRejected, Op: opMove, Reason: post.Reason{Key: "handled.sent"},
			Message: "the folder " + name + " is for sent mail; choose another one for handled reports",
		}
	}
	v.folder = name
	if there {
		return nil
	}
	return v.create()
}

// create makes the folder, and lets mail programs show it.
func (v *handling) create() error {
	var refused *imap.Error
	err := v.box.Create(v.folder, nil).Wait()
	switch {
	case errors.As(err, &refused) && refused.Code == imap.ResponseCodeAlreadyExists: // by a name of other case, or just made by another
		return nil
	case refused != nil && refused.Code != imap.ResponseCodeOverQuota:
		said := post.CleanReply(refused.Text)
		return &post.Error{
			Kind: post.KindRejected, Op: opMove, Message: "the folder " + v.folder + " cannot be made: " + said,
			Reason: post.Reason{Key: "handled.no_folder", Args: []string{v.folder, said}},
		}
	case err != nil:
		return err
	}
	err = v.box.Subscribe(v.folder).Wait()
	if errors.As(err, &refused) { // it is of use without
		v.Log.Debug("subscribe to the folder", slog.Any("err", err))
		return nil
	}
	return err
}

// folderFor is what the server calls a folder that the user typed: as it is, with
// the server's own mark between the levels in the place of "/", or below the
// prefix of the user's folders. A new one gets the last of these.
func folderFor(all []*imap.ListData, typed, prefix string) (name string, there bool) {
	local := typed
	for _, x := range all {
		if x.Delim != 0 && x.Delim != '/' {
			local = strings.ReplaceAll(typed, "/", string(x.Delim))
			break
		}
	}
	full := local
	if !strings.HasPrefix(local, prefix) {
		full = prefix + local
	}
	for _, name := range []string{typed, local, full} {
		if slices.ContainsFunc(all, func(x *imap.ListData) bool { return x.Mailbox == name && !hasAttr(x, imap.MailboxAttrNonExistent) }) {
			return name, true
		}
	}
	return full, false
}
