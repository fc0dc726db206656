package cli

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

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
	quiet      bool // shown only to who asks for it by its key
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
// knows. The client secret of a program is none (RFC 8252 8.5).
func oauthSettings() []setting {
	var all []setting
	for _, s := range providers.AuthServers() {
		all = append(all, setting{
			key: s.ClientIDSetting(), about: "the client id that " + s.Name + " gave you for Postroom",
			fallback: func() string { return s.ClientID }, check: oneWord(s.ClientIDSetting()),
		}, setting{
			key: s.ClientSecretSetting(), about: "what " + s.Name + " shows beside it, where it does; it is no password",
			fallback: func() string { return "" }, check: oneWord(s.ClientSecretSetting()), quiet: true,
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
				for _, s := range settings {
					if value, err := l.Setting(ctx, s.key, s.fallback()); err == nil && value == "" {
						continue // there is nothing to say
					}
					if err := a.tellSetting(ctx, l, s, "%[1]s = %[2]s", s.quiet); err != nil {
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
				return a.tellSetting(ctx, l, s, "%[2]s", false)
			}),
		},
		&cobra.Command{
			Use: "set KEY VALUE", Short: "Change one setting", Args: takes(2, "the setting and its value"),
			Example: "  postroom settings set " + settingDeadline + " 72",
			RunE: a.onLedger(func(ctx context.Context, l *storage.Ledger, args []string) error {
				s, err := settingOf(args[0])
				if err != nil {
					return err
				}
				if err := s.check(args[1]); err != nil {
					return err
				}
				if err := l.SetSetting(ctx, s.key, args[1]); err != nil {
					return err
				}
				return a.tellSetting(ctx, l, s, "%[1]s = %[2]s", s.quiet)
			}),
		},
	)
}

func settingOf(key string) (setting, error) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
	if i < 0 {
		return setting{}, usage("there is no setting %q; see: postroom settings list", key)
	}
	return settings[i], nil
}

// tellSetting prints a setting; format gets its key and its value, or where it is
// hidden stars.
func (a *app) tellSetting(ctx context.Context, l *storage.Ledger, s setting, format string, hidden bool) error {
	value, err := l.Setting(ctx, s.key, s.fallback())
	if err != nil {
		return err
	}
	if hidden && value != "" {
		value = "********"
	}
	return a.answer(map[string]string{"key": s.key, "value": value}, format, s.key, oneLine(value))
}
