package settings

import (
	"context"
	"strconv"
	"strings"

	"fyne.io/fyne/v2"

	"postroom/assets/providers"
	"postroom/assets/theme"
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
		return SignInField{key, "settings.signin.client", "settings.signin.client.hint", providers.CheckWord, "settings.signin.wrong.word"}
	}
	var all []SignInServer
	for _, s := range providers.AuthServers() {
		x := SignInServer{ID: s.ID, Name: s.Name, Steps: s.Steps, Console: s.Console, Copy: s.Copy, CopyStep: s.CopyStep, Fields: []SignInField{id(s.ClientIDSetting())}}
		if s.Secret {
			x.Fields = append(x.Fields, SignInField{s.ClientSecretSetting(), "settings.signin.secret", "", providers.CheckWord, "settings.signin.wrong.word"})
		}
		all = append(all, x)
	}
	return append(all, SignInServer{ID: "own", Steps: "oauth.steps.own", Fields: []SignInField{
		{providers.OwnIssuerSetting, "settings.signin.issuer", "settings.signin.issuer.hint", providers.CheckIssuer, "settings.signin.wrong.issuer"},
		id(providers.OwnClientSetting),
		{providers.OwnScopesSetting, "settings.signin.scopes", "settings.signin.scopes.hint", providers.CheckWords, "settings.signin.wrong.words"},
		{providers.OwnHostsSetting, "settings.signin.hosts", "settings.signin.hosts.hint", providers.CheckWords, "settings.signin.wrong.words"},
	}})
}

// signIn is the card for these settings.
type signIn struct {
	view    *View
	card    fyne.CanvasObject
	servers []SignInServer
	entries map[string]*widgets.Entry // by the setting's key
	kept    map[string]string         // what is in the ledger
	save    *widgets.Button
	said    *widgets.Text
}

func newSignIn(v *View) *signIn {
	env := v.env
	c := &signIn{view: v, servers: SignInServers(), entries: map[string]*widgets.Entry{}, kept: map[string]string{}, said: widgets.NewSmall("").Wrapping()}
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
			if f.Hint != "" {
				e.SetPlaceHolder(env.T(f.Hint))
			}
			e.OnChanged = func(string) { c.enable() }
			e.OnSubmitted = func(string) { c.onSave() }
			c.entries[f.Key] = e
			env.IDs.Set("settings."+f.Key, e)
			rows.Add(v.row(f.Label, e))
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

// fill takes over what is in the ledger; what is being typed stays.
func (c *signIn) fill(set map[string]string) {
	for key, e := range c.entries {
		old, typed := c.kept[key], c.typed(key)
		c.kept[key] = set[key]
		if typed == old {
			e.SetText(set[key])
		}
	}
	c.enable()
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
	fresh := map[string]string{}
	for _, s := range c.servers {
		for _, f := range s.Fields {
			value := c.typed(f.Key)
			if !f.Check(value) {
				c.view.tell(c.said, theme.Bad, env.T(f.Wrong, env.T(f.Label)))
				env.Window.Canvas().Focus(c.entries[f.Key])
				return
			}
			if value != c.kept[f.Key] {
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
		c.view.tell(c.said, theme.Good, env.T("settings.signin.kept"))
	})
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
