package ui

import (
	"postroom/assets/icons"
	"postroom/ui/screens"
	"postroom/ui/screens/accounts"
	"postroom/ui/screens/contacts"
	"postroom/ui/screens/history"
	"postroom/ui/screens/home"
	"postroom/ui/screens/mailings"
	"postroom/ui/screens/outbox"
	"postroom/ui/screens/settings"
)

// place is one entry of the navigation.
type place struct {
	id   string
	icon icons.Icon
	open func(*screens.Env) screens.Screen
}

// places are the entries in their order; Ctrl+1 is the first.
var places = []place{
	{screens.Home, icons.Home, func(e *screens.Env) screens.Screen { return home.New(e) }},
	{screens.Mailings, icons.Mailings, func(e *screens.Env) screens.Screen { return mailings.New(e) }},
	{screens.Contacts, icons.Contacts, func(e *screens.Env) screens.Screen { return contacts.New(e) }},
	{screens.Outbox, icons.Outbox, func(e *screens.Env) screens.Screen { return outbox.New(e) }},
	{screens.History, icons.History, func(e *screens.Env) screens.Screen { return history.New(e) }},
	{screens.Accounts, icons.Accounts, func(e *screens.Env) screens.Screen { return accounts.New(e) }},
	{screens.Settings, icons.Settings, func(e *screens.Env) screens.Screen { return settings.New(e) }},
}

func placeOf(id string) *place {
	for i := range places {
		if places[i].id == id {
			return &places[i]
		}
	}
	return nil
}
