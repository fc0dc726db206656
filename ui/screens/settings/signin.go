package settings

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"

	"postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/theme"
	"postroom/post"
	"postroom/ui/dialogs"
	"postroom/ui/screens"
	"postroom/ui/widgets"
)

// SignInField is one setting about what Postroom is called at an authorization
// server.
type SignInField struct {
	Key   string // in the ledger
	Label string // words
	Hint  string // words; empty: none
	Check func(string) bool
	Wrong string // words: what it must be
	// Secret: it is kept where passwords are, and never shown.
	Secret bool
}

// SignInServer is one authorization server that can be set, with its guide.
type SignInServer struct {
	ID, Name string // Name is empty for the one that is all the user's own
	Steps    string // words, a step a line
	Console  string // the page where a client id is made; empty: not known
	Copy     string // what one of the steps says to type there exactly; empty: nothing
	CopyStep int    // which one, from 1
	Fields   []SignInField
}

// SignInServers are all of them, in their order on the screen.
func SignInServers() []SignInServer {
	id := func(key string) SignInField {
		return SignInField{Key: key, Label: "settings.signin.client", Hint: "settings.signin.client.hint", Check: providers.CheckWord, Wrong: "settings.signin.wrong.word"}
	}
	var all []SignInServer
	for _, s := range providers.AuthServers() {
		x := SignInServer{ID: s.ID, Name: s.Name, Steps: s.Steps, Console: s.Console, Copy: s.Copy, CopyStep: s.CopyStep, Fields: []SignInField{id(s.ClientIDSetting())}}
		if s.Secret {
			x.Fields = append(x.Fields, SignInField{
				Key: s.ClientSecretSetting(), Label: "settings.signin.secret", Check: providers.CheckWord, Wrong: "settings.signin.wrong.word", Secret: true,
			})
		}
		all = append(all, x)
	}
	return append(all, SignInServer{ID: "own", Steps: "oauth.steps.own", Fields: []SignInField{
		{Key: providers.OwnIssuerSetting, Label: "settings.signin.issuer", Hint: "settings.signin.issuer.hint", Check: providers.CheckIssuer, Wrong: "settings.signin.wrong.issuer"},
		id(providers.OwnClientSetting),
		{Key: providers.OwnScopesSetting, Label: "settings.signin.scopes", Hint: "settings.signin.scopes.hint", Check: providers.CheckWords, Wrong: "settings.signin.wrong.words"},
		{Key: providers.OwnHostsSetting, Label: "settings.signin.hosts", Hint: "settings.signin.hosts.hint", Check: providers.CheckWords, Wrong: "settings.signin.wrong.words"},
	}})
}

// signIn is the card for these settings.
type signIn struct {
	view    *View
	card    fyne.CanvasObject
	servers []SignInServer
	entries map[string]*widgets.Entry  // by the setting's key
	kept    map[string]string          // what is in the ledger; of a secret nothing
	places  map[string]post.SecretKind // where a secret is
	forget  map[string]*widgets.Button
	save    *widgets.Button
	said    *widgets.Text
}

func newSignIn(v *View) *signIn {
	env := v.env
	c := &signIn{view: v, servers: SignInServers(), entries: map[string]*widgets.Entry{}, kept: map[string]string{}, forget: map[string]*widgets.Button{}, said: widgets.NewSmall("").Wrapping()}
	c.said.Hide()
	c.save = widgets.NewButton(widgets.Normal, env.T("action.save"), c.onSave)
	env.IDs.Set("settings.signin.save", c.save)
	rows := widgets.VStack(8, widgets.NewSmall(env.T("settings.signin.why")).Wrapping())
	for _, s := range c.servers {
		name := s.Name
		if name == "" {
			name = env.T("settings.signin.own")
		}
		guide := widgets.NewButton(widgets.Link, env.T("settings.signin.guide"), func() { c.onGuide(name, &s) })
		env.IDs.Set("settings.signin.guide."+s.ID, guide)
		rows.Add(widgets.HStack(8, widgets.Grow(widgets.NewStrong(name)), guide))
		for _, f := range s.Fields {
			e := widgets.NewEntry()
			if f.Secret {
				e = widgets.NewPasswordEntry()
			}
			if f.Hint != "" {
				e.SetPlaceHolder(env.T(f.Hint))
			}
			e.OnChanged = func(string) { c.enable() }
			e.OnSubmitted = func(string) { c.onSave() }
			c.entries[f.Key] = e
			env.IDs.Set("settings."+f.Key, e)
			rows.Add(v.row(f.Label, e))
			if f.Secret {
				b := widgets.NewButton(widgets.Link, env.T("settings.signin.secret.forget"), func() { c.keepSecrets(map[string]string{f.Key: ""}) })
				b.Hide()
				c.forget[f.Key] = b
				env.IDs.Set("settings."+f.Key+".forget", b)
				rows.Add(widgets.HStack(0, widgets.Space(), b))
			}
		}
	}
	rows.Add(c.said)
	rows.Add(widgets.HStack(0, widgets.Space(), c.save))
	c.save.Disable()
	c.card = widgets.NewCard(env.T("settings.signin"), nil, rows)
	return c
}

// typed returns what was typed into a field, with single blanks.
func (c *signIn) typed(key string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(c.entries[key].Text, ",", " ")), " ")
}

// fill takes over what is in the ledger, and where the secrets are; what is being
// typed stays.
func (c *signIn) fill(set map[string]string, places map[string]post.SecretKind) {
	for key, e := range c.entries {
		old, typed := c.kept[key], c.typed(key)
		c.kept[key] = set[key]
		if typed == old {
			e.SetText(set[key])
		}
	}
	c.places = places
	for key, b := range c.forget {
		hint := ""
		if places[key] != "" {
			hint = c.view.env.T("settings.signin.secret." + string(places[key]))
			b.Show()
		} else {
			b.Hide()
		}
		c.entries[key].SetPlaceHolder(hint)
	}
	c.card.Refresh()
	c.enable()
}

// tokensOf knows where the client secrets are; nil for the secrets of a test.
func tokensOf(env *screens.Env) *accounts.Tokens {
	s, _ := env.Secrets.(accounts.Store)
	return s.Tokens
}

// tidy takes a client secret that an older version kept in the ledger to the vault
// where that is open, else into the keyring. Where neither takes it, the field says
// so.
func (c *signIn) tidy(ctx context.Context, t *accounts.Tokens) {
	if t == nil {
		return
	}
	place := post.SecretKeyring
	if s, ok := c.view.env.Secrets.(accounts.Store); ok && s.Vault.Unlocked() {
		place = post.SecretVault
	}
	if err := t.MoveClientSecrets(ctx, place); err != nil {
		c.view.env.Log.Warn("move a client secret out of the ledger", "err", err)
	}
}

func (c *signIn) enable() {
	for key := range c.entries {
		if c.typed(key) != c.kept[key] {
			c.save.Enable()
			return
		}
	}
	c.save.Disable()
}

// onSave keeps all that was changed, or says what is wrong and keeps nothing.
func (c *signIn) onSave() {
	env := c.view.env
	if c.save.Disabled() {
		return
	}
	fresh, secrets := map[string]string{}, map[string]string{}
	for _, s := range c.servers {
		for _, f := range s.Fields {
			value := c.typed(f.Key)
			if !f.Check(value) {
				c.view.tell(c.said, theme.Bad, env.T(f.Wrong, env.T(f.Label)))
				env.Window.Canvas().Focus(c.entries[f.Key])
				return
			}
			switch {
			case value == c.kept[f.Key]:
			case f.Secret:
				secrets[f.Key] = value
			default:
				fresh[f.Key] = value
			}
		}
	}
	c.save.Disable()
	screens.Load(context.Background(), env, func(ctx context.Context) (struct{}, error) {
		for key, value := range fresh {
			if err := env.Ledger.SetSetting(ctx, key, value); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	}, func(_ struct{}, err error) {
		if err != nil {
			c.enable()
			dialogs.Error(env.Words, env.Window, err)
			return
		}
		for key, value := range fresh {
			c.kept[key] = value
			c.entries[key].SetText(value)
		}
		c.enable()
		if len(secrets) > 0 {
			c.keepSecrets(secrets)
			return
		}
		c.view.tell(c.said, theme.Good, env.T("settings.signin.kept"))
	})
}

// keepSecrets keeps client secrets, by their settings' keys, where passwords are:
// in the vault where there is one, and else in the keyring. Empty forgets one.
func (c *signIn) keepSecrets(secrets map[string]string) {
	env := c.view.env
	s, ok := env.Secrets.(accounts.Store)
	if !ok || s.Tokens == nil || s.Vault == nil {
		return
	}
	var keep func(place post.SecretKind)
	keep = func(place post.SecretKind) {
		screens.Load(context.Background(), env, func(ctx context.Context) (struct{}, error) {
			for _, server := range providers.AuthServers() {
				secret, ok := secrets[server.ClientSecretSetting()]
				if !ok {
					continue
				}
				if err := s.Tokens.SetClientSecret(ctx, &server, secret, place); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		}, func(_ struct{}, err error) {
			var e *post.Error
			if errors.As(err, &e) && accounts.KeyringTrouble(e.Reason) && env.WithVault != nil {
				c.enable()
				what, _ := env.Words.Error(err)
				dialogs.Choose(env.Words, env.Window, env.T("settings.signin.secret"), what, dialogs.Choice{Label: env.T("action.cancel")},
					dialogs.Choice{Label: env.T("settings.signin.secret.to_vault"), Default: true, Do: func() { env.WithVault(func() { keep(post.SecretVault) }) }})
				return
			}
			if err != nil {
				c.enable()
				dialogs.Error(env.Words, env.Window, err)
				return
			}
			done := "settings.signin.secret.forgotten"
			for key, secret := range secrets {
				c.entries[key].SetText("")
				if secret != "" {
					done = "settings.signin.kept"
				}
			}
			c.view.tell(c.said, theme.Good, env.T(done))
			c.view.Changed()
		})
	}
	if s.Vault.Exists() && env.WithVault != nil {
		env.WithVault(func() { keep(post.SecretVault) })
		return
	}
	keep(post.SecretKeyring)
}

// onGuide shows how to get a client id, a step a line.
func (c *signIn) onGuide(name string, s *SignInServer) {
	env := c.view.env
	rows := widgets.VStack(8)
	for _, line := range strings.Split(env.T(s.Steps), "\n") {
		rows.Add(widgets.NewText(line).Wrapping())
	}
	var d *dialogs.Dialog
	closing := widgets.NewButton(widgets.Primary, env.T("action.close"), func() { d.Close() })
	buttons := []*widgets.Button{closing}
	if s.Console != "" {
		open := widgets.NewButton(widgets.Normal, env.T("settings.signin.console"), func() {
			if err := env.OpenURL(s.Console); err != nil {
				dialogs.Error(env.Words, env.Window, err)
			}
		})
		env.IDs.Set("settings.signin.console", open)
		buttons = []*widgets.Button{open, closing}
	}
	if s.Copy != "" {
		copied := widgets.NewButton(widgets.Normal, env.T("settings.signin.copy", strconv.Itoa(s.CopyStep)), func() { fyne.CurrentApp().Clipboard().SetContent(s.Copy) })
		env.IDs.Set("settings.signin.copy", copied)
		buttons = append([]*widgets.Button{copied}, buttons...)
	}
	d = dialogs.Show(env.Window, dialogs.Options{
		Title: env.T("settings.signin.guide.title", name), Body: rows, Buttons: buttons, Default: closing, Width: 620,
	})
}
