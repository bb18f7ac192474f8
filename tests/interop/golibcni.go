// A runtime on Go's libcni: what another implementation makes of our files, and we of its.
//
//	golibcni add|del|check|result|config DIRECTORY NETWORK CONTAINER_ID NETNS
//
// CNI_PATH, CNI_ARGS (pairs) and CAP_ARGS (JSON) are taken from the environment; the cache is the
// one in /var/lib/cni.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containernetworking/cni/libcni"
)

func run(command, directory, network, id, netns string) error {
	list, err := libcni.LoadConfList(directory, network)
	if err != nil {
		return err
	}
	rt := &libcni.RuntimeConf{ContainerID: id, NetNS: netns, IfName: "eth0"}
	for _, pair := range strings.Split(os.Getenv("CNI_ARGS"), ";") {
		if key, value, found := strings.Cut(pair, "="); found {
			rt.Args = append(rt.Args, [2]string{key, value})
		}
	}
	if text := os.Getenv("CAP_ARGS"); text != "" {
		if err := json.Unmarshal([]byte(text), &rt.CapabilityArgs); err != nil {
			return err
		}
	}
	cni := libcni.NewCNIConfig(filepath.SplitList(os.Getenv("CNI_PATH")), nil)
	ctx := context.Background()
	switch command {
	case "add":
		result, err := cni.AddNetworkList(ctx, list, rt)
		if err != nil {
			return err
		}
		return result.Print()
	case "del":
		return cni.DelNetworkList(ctx, list, rt)
	case "check":
		return cni.CheckNetworkList(ctx, list, rt)
	case "result":
		result, err := cni.GetNetworkListCachedResult(list, rt)
		if err != nil || result == nil {
			return fmt.Errorf("no result: %v", err)
		}
		return result.Print()
	case "config":
		config, found, err := cni.GetNetworkListCachedConfig(list, rt)
		if err != nil || config == nil {
			return fmt.Errorf("no config: %v", err)
		}
		return json.NewEncoder(os.Stdout).Encode(map[string]any{
			"config": string(config), "args": found.Args, "capabilityArgs": found.CapabilityArgs,
		})
	}
	return fmt.Errorf("no command %s", command)
}

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "golibcni COMMAND DIRECTORY NETWORK CONTAINER_ID NETNS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
