//go:build linux && !race

package e2e

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

// loopbackVar makes this test program a small tool: it runs in a new network
// namespace, raises its loopback, sees that there is no other network, and
// becomes the program in its arguments.
const loopbackVar = "POSTROOM_E2E_LOOPBACK"

// cutOff makes the office run its commands in network namespaces of their own,
// which have nothing but a loopback. Where the kernel forbids that, it says so
// and leaves the commands where they are.
func (o *office) cutOff(t *testing.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(cmd *exec.Cmd) {
		cmd.Args = append([]string{self, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = self
		cmd.Env = append(cmd.Env, loopbackVar+"=1")
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
			cmd.SysProcAttr.AmbientCaps = []uintptr{capNetAdmin}
		}
	}
	probe := exec.Command(binary, "--version")
	probe.Env = os.Environ()
	probe.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	wrap(probe)
	out, err := probe.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil && strings.HasPrefix(string(out), "postroom "):
		o.wrap = wrap
	case errors.As(err, &exit):
		t.Fatalf("cut the network off: %v\n%s", err, out)
	default: // the namespace itself was refused
		t.Logf("NOT CUT OFF: this kernel gives us no network namespace (%v); what follows ran WITH the network", err)
	}
}

const capNetAdmin = 12 // capabilities(7)

// enterLoopback returns only when it fails.
func enterLoopback(args []string) error {
	if err := raiseLoopback(); err != nil {
		return fmt.Errorf("raise the loopback: %w", err)
	}
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	up := 0
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue // some kernels put tunnels into each namespace, which lead nowhere
		}
		if i.Flags&net.FlagLoopback == 0 {
			return fmt.Errorf("there is still a network: %s", i.Name)
		}
		up++
	}
	if up == 0 {
		return errors.New("there is no loopback")
	}
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, loopbackVar+"=") {
			env = append(env, v)
		}
	}
	return syscall.Exec(args[0], args, env)
}

// raiseLoopback does "ip link set lo up" (netdevice(7)).
func raiseLoopback() error {
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(s) //nolint:errcheck // it holds nothing
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(s), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request)))
	if errno != 0 {
		return errno
	}
	return nil
}
