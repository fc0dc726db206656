//go:build linux || freebsd || netbsd || openbsd || dragonfly

package accounts

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"

	"github.com/godbus/dbus/v5"
)

// ringReachable fails where there is no session bus. Asked without one,
// go-keyring would start a bus that outlives us, and on it a keyring that
// nobody can unlock.
func ringReachable() error {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" && address != "autolaunch:" {
		return nil
	}
	bus, err := dbus.SessionBusPrivateNoAutoStartup()
	if err != nil {
		return err
	}
	return bus.Close()
}

// ringOpen looks whether the keyring can be asked without opening a window: it
// is there, and the collection that go-keyring uses is not locked.
func ringOpen() bool {
	if ringReachable() != nil {
		return false
	}
	bus, err := dbus.ConnectSessionBus()
	if err != nil {
		return false
	}
	defer bus.Close() //nolint:errcheck // it was only looked through
	for _, collection := range []dbus.ObjectPath{"/org/freedesktop/secrets/collection/login", "/org/freedesktop/secrets/aliases/default"} {
		locked, err := bus.Object("org.freedesktop.secrets", collection).GetProperty("org.freedesktop.Secret.Collection.Locked")
		if err != nil {
			continue
		}
		is, ok := locked.Value().(bool)
		return ok && !is
	}
	return false
}

// isRingAbsent reports that there is no session bus, or no Secret Service on it.
func isRingAbsent(err error) bool {
	var bus dbus.Error
	if errors.As(err, &bus) {
		switch bus.Name {
		case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
			"org.freedesktop.DBus.Error.Disconnected", "org.freedesktop.DBus.Error.UnknownInterface":
			return true
		}
		return strings.HasPrefix(bus.Name, "org.freedesktop.DBus.Error.Spawn.")
	}
	var op *net.OpError
	var start *exec.Error
	var exit *exec.ExitError
	return errors.As(err, &op) || errors.As(err, &start) || errors.As(err, &exit) ||
		errors.Is(err, dbus.ErrClosed) || errors.Is(err, io.EOF) ||
		strings.HasPrefix(err.Error(), "dbus: ") || strings.Contains(err.Error(), "DBUS_SESSION_BUS_ADDRESS")
}

// isBusLocked reports the Secret Service's own word for a locked collection.
func isBusLocked(err error) bool {
	var bus dbus.Error
	return errors.As(err, &bus) && bus.Name == "org.freedesktop.Secret.Error.IsLocked"
}
