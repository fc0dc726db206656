package cli

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"postroom/accounts"
	"postroom/assets/providers"
	"postroom/assets/words"
	"postroom/mailer"
	"postroom/post"
	"postroom/storage"
)

// settingDeadline is how many hours a delivery is tried.
const settingDeadline = "retry.deadline_hours"

// settingUncertain is what new mailings do about uncertain messages.
const settingUncertain = "uncertain"

// setting is one thing that can be set.
type setting struct {
	key, about string
	fallback   func() string
	check      func(value string) error
	secret     *providers.AuthServer // whose client secret it is: kept where passwords are, and never shown; nil: none
}

// settings is the closed list.
var settings = append([]setting{
	{
		key: storage.SettingBounceLimit, about: "at how many percent of messages that came back a mailing pauses itself: 0 (never) to 100",
		fallback: func() string { return strconv.Itoa(storage.DefaultBounceLimit) },
		check: func(value string) error {
			if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 100 {
				return usage("%s is a number from 0 to 100, not %q", storage.SettingBounceLimit, value)
			}
			return nil
		},
	},
	{
		key: "language", about: "the window's language: en or zh-Hans", fallback: guessLanguage,
		check: oneOf("language", string(words.English), string(words.Chinese)),
	},
	{
		key: settingDeadline, about: "how many hours a message is tried before it is given up: 1 to 120",
		fallback: func() string { return strconv.Itoa(int(mailer.DefaultPolicy.Deadline.Hours())) },
		check: func(value string) error {
			if n, err := strconv.Atoi(value); err != nil || n < 1 || n > 120 {
				return usage("%s is a number from 1 to 120, not %q", settingDeadline, value)
			}
			return nil
		},
	},
	{
		key: "theme", about: "the window's look: light, dark, or system (as the system)", fallback: func() string { return "system" },
		check: oneOf("theme", "light", "dark", "system"),
	},
	{
		key: settingUncertain, about: "what new mailings do about messages that may or may not have arrived: ask, resend (once) or sent",
		fallback: func() string { return string(post.UncertainAsk) },
		check:    oneOf(settingUncertain, string(post.UncertainAsk), string(post.UncertainResend), string(post.UncertainAssume)),
	},
}, oauthSettings()...)

// oauthSettings are what Postroom is called at the authorization servers it
// knows.
func oauthSettings() []setting {
	var all []setting
	for _, s := range providers.AuthServers() {
		all = append(all, setting{
			key: s.ClientIDSetting(), about: "the client id that " + s.Name + " gave you for Postroom",
			fallback: func() string { return s.ClientID }, check: oneWord(s.ClientIDSetting()),
		}, setting{
			key: s.ClientSecretSetting(), about: "the client secret that " + s.Name + " shows beside it, where it does",
			fallback: func() string { return "" }, check: oneWord(s.ClientSecretSetting()), secret: &s,
		})
	}
	says := func(form string, ok func(string) bool) func(string) error {
		return func(value string) error {
			if !ok(value) {
				return usage("this is %s, not %q", form, value)
			}
			return nil
		}
	}
	none := func() string { return "" }
	return append(all,
		setting{key: providers.OwnIssuerSetting, about: "another authorization server, by its https address", fallback: none, check: says("an address that begins with https://", providers.CheckIssuer)},
		setting{key: providers.OwnClientSetting, about: "the client id that it gave you for Postroom", fallback: none, check: oneWord(providers.OwnClientSetting)},
		setting{key: providers.OwnScopesSetting, about: "the permissions to ask it for, with blanks between them", fallback: none, check: says("words with blanks between them", providers.CheckWords)},
		setting{key: providers.OwnHostsSetting, about: "the mail servers that take its tokens, with blanks between them", fallback: none, check: says("host names with blanks between them", providers.CheckWords)},
	)
}

func oneWord(key string) func(string) error {
	return func(value string) error {
		if !providers.CheckWord(value) {
			return usage("%s is one word, as the provider shows it", key)
		}
		return nil
	}
}

func oneOf(key string, values ...string) func(string) error {
	return func(value string) error {
		if !slices.Contains(values, value) {
			return usage("%s is %s, not %q", key, strings.Join(values, " or "), value)
		}
		return nil
	}
}

// guessLanguage is the language of the system as far as the environment tells.
func guessLanguage() string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := os.Getenv(name); v != "" {
			return string(words.Guess(v))
		}
	}
	return string(words.English)
}

func (a *app) settingsCommand() *cobra.Command {
	var keys []string
	about := "The settings are:\n"
	for _, s := range settings {
		keys = append(keys, s.key)
		about += "\n  " + s.key + strings.Repeat(" ", max(2, 32-len(s.key))) + s.about
	}
	return group("settings", "Look at the settings, and change them", about,
		&cobra.Command{
			Use: "list", Short: "List all settings", Args: takes(0, "nothing"),
			RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, _ []string) error {
				if err := a.tidySettings(ctx, l); err != nil {
					return err
				}
				for _, s := range settings {
					if s.secret != nil {
						if err := a.tellClientSecret(ctx, s, false); err != nil {
							return err
						}
						continue
					}
					if value, err := l.Setting(ctx, s.key, s.fallback()); err == nil && value == "" {
						continue // there is nothing to say
					}
					if err := a.tellSetting(ctx, l, s, "%[1]s = %[2]s"); err != nil {
						return err
					}
				}
				return nil
			}),
		},
		&cobra.Command{
			Use: "get KEY", Short: "Print one setting", Args: takes(1, "the setting: "+strings.Join(keys, ", ")),
			RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
				s, err := settingOf(args[0])
				if err != nil {
					return err
				}
				if s.secret == nil {
					return a.tellSetting(ctx, l, s, "%[2]s")
				}
				if err := a.tidySettings(ctx, l); err != nil {
					return err
				}
				return a.tellClientSecret(ctx, s, true)
			}),
		}, a.settingsSet())
}

func (a *app) settingsSet() *cobra.Command {
	var stdin, vault bool
	c := &cobra.Command{
		Use: "set KEY [VALUE]", Short: "Change one setting",
		Long: `Set changes a setting. A client secret is kept in the system's keyring, or with
--vault in the vault, and is not shown again. Give it by --value-stdin, or
without a value to be asked for it: what stands on a command line can be seen by
others on this computer. An empty value ('') forgets it.`,
		Example: "  postroom settings set " + settingDeadline + " 72\n  postroom settings set oauth.google.client_secret --value-stdin < secret.txt",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return takes(2, "the setting and its value")(c, args)
		},
	}
	c.Flags().BoolVar(&stdin, "value-stdin", false, "read the value from standard input")
	c.Flags().BoolVar(&vault, "vault", false, "keep a client secret in the vault, where there is no keyring")
	c.RunE = a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
		s, err := settingOf(args[0])
		if err != nil {
			return err
		}
		if s.secret == nil && vault {
			return usage("--vault is for client secrets; %s is kept in the ledger", s.key)
		}
		if s.secret != nil { // the vault's passphrase comes first
			if err := a.openForClientSecret(ctx, l, s, vault); err != nil {
				return err
			}
		}
		value, err := a.settingValue(s, args[1:], stdin)
		if err != nil {
			return err
		}
		if err := s.check(value); err != nil {
			return err
		}
		if s.secret != nil {
			return a.keepClientSecret(ctx, s, value, vault)
		}
		if err := l.SetSetting(ctx, s.key, value); err != nil {
			return err
		}
		return a.tellSetting(ctx, l, s, "%[1]s = %[2]s")
	})
	return c
}

// settingValue is the value as it was given, by the one way that was chosen.
func (a *app) settingValue(s setting, given []string, stdin bool) (string, error) {
	switch {
	case stdin && len(given) > 0:
		return "", usage("give a value or --value-stdin, not both")
	case len(given) > 0:
		return given[0], nil
	case stdin:
		return a.secretLine("Value: ")
	case s.secret != nil && a.canAsk():
		return a.secretLine("Client secret for " + s.secret.Name + ": ")
	}
	return "", usage("give the setting and its value: postroom settings set %s VALUE", s.key)
}

// openForClientSecret opens the vault where a client secret comes into it, or out.
func (a *app) openForClientSecret(ctx context.Context, l *storage.Ledger, s setting, vault bool) error {
	store, err := a.store()
	if err != nil {
		return err
	}
	place, err := store.Tokens.ClientSecretPlace(ctx, s.secret)
	if err != nil {
		return err
	}
	return a.openSecrets(ctx, l, nil, vault || place == post.SecretVault)
}

func (a *app) keepClientSecret(ctx context.Context, s setting, value string, vault bool) error {
	store, err := a.store()
	if err != nil {
		return err
	}
	place := post.SecretKeyring
	if vault {
		place = post.SecretVault
	}
	err = store.Tokens.SetClientSecret(ctx, s.secret, value, place)
	var e *post.Error
	if errors.As(err, &e) && accounts.KeyringTrouble(e.Reason) {
		a.note("Where there is no keyring, keep it in the vault: postroom settings set %s --value-stdin --vault", s.key)
	}
	if err != nil {
		return err
	}
	return a.tellClientSecret(ctx, s, true)
}

// tidySettings takes client secrets that an older version kept in the ledger to
// where passwords are, as far as that is open.
func (a *app) tidySettings(ctx context.Context, l *storage.Ledger) error {
	store, err := a.store()
	if err != nil || store.Tokens == nil {
		return nil // secrets of a test
	}
	if err := a.openSecrets(ctx, l, nil, a.vaultStdin); err != nil {
		return err
	}
	place := post.SecretKeyring
	if store.Vault.Unlocked() {
		place = post.SecretVault
	}
	if err := store.Tokens.MoveClientSecrets(ctx, place); err != nil {
		a.log.Warn("move a client secret out of the ledger", slog.Any("err", err))
	}
	return nil
}

// clientSecretJSON is a client secret as scripts see it: where it lies.
type clientSecretJSON struct {
	Key   string `json:"key"`
	Value string `json:"value"` // stars; empty: there is none
	Kept  string `json:"kept,omitempty"`
}

// tellClientSecret says where a client secret is kept; where there is none only if
// it was asked for.
func (a *app) tellClientSecret(ctx context.Context, s setting, asked bool) error {
	store, err := a.store()
	if err != nil {
		return nil // secrets of a test
	}
	place, err := store.Tokens.ClientSecretPlace(ctx, s.secret)
	if err != nil || place == "" && !asked {
		return err
	}
	where := map[post.SecretKind]string{
		"": "not set", post.SecretKeyring: stars + " (in the system's keyring)", post.SecretVault: stars + " (in the vault)",
		accounts.PlaceLedger: stars + " (in the ledger, where others can read it)",
	}[place]
	x := clientSecretJSON{Key: s.key, Kept: string(place)}
	if place != "" {
		x.Value = stars
	}
	if place == accounts.PlaceLedger {
		a.note("%s was kept in the ledger by an older version. Start the keyring, or move it into the vault: postroom settings set %s --value-stdin --vault; or forget it: postroom settings set %s ''", s.key, s.key, s.key)
	}
	return a.answer(x, "%s = %s", s.key, where)
}

// stars stand for what is not shown.
const stars = "********"

func settingOf(key string) (setting, error) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
	if i < 0 {
		return setting{}, usage("there is no setting %q; see: postroom settings list", key)
	}
	return settings[i], nil
}

// tellSetting prints a setting; format gets its key and its value.
func (a *app) tellSetting(ctx context.Context, l *storage.Ledger, s setting, format string) error {
	value, err := l.Setting(ctx, s.key, s.fallback())
	if err != nil {
		return err
	}
	return a.answer(map[string]string{"key": s.key, "value": value}, format, s.key, oneLine(value))
}
