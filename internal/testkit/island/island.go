//go:build linux

// Package island runs a test once more on a computer that has no network but its
// own loopback and knows the names that the test gives it: in namespaces of its
// own (namespaces(7)). So a program can be tested that looks for servers by name,
// on their usual ports, without a word to the real network.
package island

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

const inside = "POSTROOM_TEST_ISLAND"

// Run reports whether the calling test is on the island. If not, it runs the test
// there, in a process of its own, and takes over how it ended; the caller returns
// then. Where the kernel gives us no namespaces the test is skipped, but fails
// when CI is set. hosts are lines for /etc/hosts.
func Run(t *testing.T, hosts string, env ...string) bool {
	t.Helper()
	if dir := os.Getenv(inside); dir != "" {
		if err := settle(dir); err != nil {
			t.Fatalf("settle on the island: %v", err)
		}
		return true
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hosts"), []byte("127.0.0.1 localhost\n"+hosts), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "resolv.conf"), []byte("nameserver 127.0.0.1\noptions attempts:1 timeout:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := space(exec.CommandContext(t.Context(), "true")).Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this kernel gives us no namespaces: %v", err)
		}
		t.Skipf("SKIPPED, NOTHING WAS TESTED: this kernel gives us no namespaces: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := space(exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m"))
	cmd.Env = append(append(os.Environ(), inside+"="+dir), env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("on the island: %v", err)
	}
	return false
}

// space gives a command namespaces of its own.
func space(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd
}

// settle raises the loopback and puts the names in their place, seen by this
// process and its children alone.
func settle(dir string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	for _, name := range []string{"hosts", "resolv.conf"} {
		if err := syscall.Mount(filepath.Join(dir, name), "/etc/"+name, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("put %s in its place: %w", name, err)
		}
	}
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	up := struct { // struct ifreq of netdevice(7)
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		rest  [22]byte
	}{flags: syscall.IFF_UP}
	copy(up.name[:], "lo")
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&up)))
	err = syscall.Close(s)
	if errno != 0 {
		err = errors.Join(errno, err)
	}
	return err
}
