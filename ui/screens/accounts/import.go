package accounts

import (
	"context"
	"strings"

	senders "postroom/accounts"
	"postroom/contacts"
	"postroom/post"
	"postroom/ui/dialogs"
)

// onImport adds an account for each row of a sheet, after a look at what would
// happen.
func (v *View) onImport() {
	env := v.env
	dialogs.Picker{
		Words: env.Words, Win: env.Window, Title: env.T("accounts.import"), Post: env.Post,
		Extensions: []string{".csv", ".xlsx", ".tsv"}, Done: func(paths []string) { v.importFrom(paths[0], true) },
	}.Show()
}

// importFrom reads a sheet; a dry run ends with the question whether to do it.
func (v *View) importFrom(path string, dry bool) {
	env := v.env
	place := post.SecretKeyring
	if s, ok := storeOf(env); ok && s.Vault.Unlocked() {
		place = post.SecretVault
	}
	var report senders.ImportReport
	dialogs.Work(env.Words, env.Window, env.Post, env.T("accounts.import"), func(ctx context.Context, _ func(done, total int64)) (err error) {
		report, err = v.saver.Import(ctx, path, senders.ImportParams{Place: place, DryRun: dry, Find: v.proposal})
		return err
	}, func(err error) {
		v.Changed()
		if err != nil {
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		v.imported(path, report, dry)
	})
}

func (v *View) imported(path string, r senders.ImportReport, dry bool) {
	env := v.env
	lines := make([]string, 0, len(r.Problems))
	for _, p := range r.Problems {
		lines = append(lines, env.T("accounts.import.row", p.Row, p.Address, env.Words.Reason(p.Reason)))
	}
	question := env.T("accounts.import.ask", r.Added, r.Skipped)
	if len(r.Unused) > 0 {
		unused := env.T("accounts.import.unused", strings.Join(r.Unused, ", "))
		lines, question = append(lines, unused), question+"\n\n"+unused
	}
	switch {
	case !dry && len(lines) == 0:
		dialogs.Info(env.Words, env.Window, env.T("accounts.import"), env.T("accounts.import.done", r.Added, r.Skipped))
	case !dry, r.Added == 0:
		dialogs.List(env.Words, env.Window, env.T("accounts.import"), env.T("accounts.import.done", r.Added, r.Skipped), lines)
	default:
		dialogs.Confirm(env.Words, env.Window, env.T("accounts.import"), question, env.T("action.import"), func() {
			v.importFrom(path, false)
		})
	}
}

// proposal looks for the server of an address.
func (v *View) proposal(ctx context.Context, address string) (*senders.Proposal, error) {
	found, err := v.discover(ctx, address, func(senders.Look) {})
	return found.Proposal, err
}

// Import adds an account for each row of a sheet; see senders.Import. Rows that
// hold no address are among the skipped.
func (s Saver) Import(ctx context.Context, path string, p senders.ImportParams) (senders.ImportReport, error) {
	p.Ledger, p.Secrets = s.Ledger, s.Secrets
	var odd []senders.ImportProblem
	_, rows, err := contacts.RowsAs(ctx, path, contacts.Options{}, func(x contacts.Problem) {
		if x.Skipped { // what else a sheet has to say could show a password
			odd = append(odd, senders.ImportProblem{Row: x.Row, Reason: x.Reason})
		}
	})
	if err != nil {
		return senders.ImportReport{}, err
	}
	r, err := senders.Import(ctx, p, rows)
	r.Read, r.Skipped, r.Problems = r.Read+int64(len(odd)), r.Skipped+int64(len(odd)), append(odd, r.Problems...)
	return r, err
}

// onCopy begins a new account with the settings of the one in the panel, but for
// its address and password.
func (v *View) onCopy() {
	a, ok := v.current()
	if !ok || v.form != nil {
		return
	}
	v.openForm(nil)
	form := FormOf(&a)
	form.Name, form.Email, form.User, form.FromName = "", "", "", ""
	v.form.fill(form)
}
