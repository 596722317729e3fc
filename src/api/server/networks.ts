/** Network endpoints (Engine API, tag "Network"). */
import * as v from "valibot";
import type { NetworkInspection, NetworkRecord } from "../../engine/types.ts";
import { endpoint } from "./container-schema.ts";
import { field, flag, maybeText, refusing, stringMap, text } from "./fields.ts";
import type { Route } from "./router.ts";
import { rfc3339 } from "./times.ts";

const subnet = v.object({
  Subnet: maybeText,
  IPRange: maybeText,
  Gateway: maybeText,
  AuxiliaryAddresses: field(stringMap, undefined),
});
const ipam = v.object({
  Driver: text("default"),
  Options: field(stringMap, {}),
  Config: field(v.array(subnet), []),
});
const createSchema = v.pipe(
  refusing(["Ingress"], "network"),
  v.object({
    Name: text(),
    Driver: text("bridge"),
    Internal: flag(),
    Attachable: flag(),
    EnableIPv4: field(v.boolean(), undefined),
    EnableIPv6: field(v.boolean(), undefined),
    IPAM: field(ipam, { Driver: "default", Options: {}, Config: [] }),
    Options: field(stringMap, {}),
    Labels: field(stringMap, {}),
    ConfigOnly: flag(),
    ConfigFrom: field(v.object({ Network: text() }), { Network: "" }),
  }),
);
const connectSchema = v.object({ Container: text(), EndpointConfig: field(endpoint, {}) });
const disconnectSchema = v.object({ Container: text(), Force: flag() });

export const networkRoutes: Route[] = [
  {
    method: "GET",
    path: "/networks",
    handle(x) {
      const networks = x.engine.networks.list(x.filters);
      x.versioned(
        // Until 1.28 each told its containers.
        networks.map((record) =>
          x.version < 28
            ? inspection(x.engine.networks.get(record.id))
            : { ...encode(record), Containers: {} },
        ),
        "network list",
      );
    },
  },
  {
    method: "POST",
    path: "/networks/create",
    async handle(x) {
      const body = await x.body(createSchema, "network create");
      const { id, warning } = await x.engine.networks.create({
        name: body.Name,
        driver: body.Driver || "bridge",
        internal: body.Internal,
        attachable: body.Attachable,
        enableIPv4: body.EnableIPv4,
        enableIPv6: body.EnableIPv6,
        ipam: {
          driver: body.IPAM.Driver,
          options: body.IPAM.Options,
          config: body.IPAM.Config.map((item) => ({
            subnet: item.Subnet || undefined,
            gateway: item.Gateway || undefined,
            ipRange: item.IPRange || undefined,
            auxAddresses: item.AuxiliaryAddresses,
          })),
        },
        options: body.Options,
        labels: body.Labels,
        configOnly: body.ConfigOnly,
        configFrom: body.ConfigFrom.Network,
      });
      x.json({ Id: id, Warning: warning }, 201);
    },
  },
  {
    method: "POST",
    path: "/networks/prune",
    async handle(x) {
      const deleted = await x.engine.networks.prune(x.filters);
      x.json({ NetworksDeleted: deleted.length > 0 ? deleted : null });
    },
  },
  {
    method: "GET",
    path: "/networks/{id}",
    handle(x) {
      x.versioned(inspection(x.engine.networks.get(x.params.id!)), "network");
    },
  },
  {
    method: "DELETE",
    path: "/networks/{id}",
    async handle(x) {
      await x.engine.networks.remove(x.params.id!);
      x.empty(204);
    },
  },
  {
    method: "POST",
    path: "/networks/{id}/connect",
    async handle(x) {
      const body = await x.body(connectSchema, "network connect");
      await x.engine.networks.connect(x.params.id!, body.Container, body.EndpointConfig);
      x.empty(200);
    },
  },
  {
    method: "POST",
    path: "/networks/{id}/disconnect",
    async handle(x) {
      const body = await x.body(disconnectSchema);
      await x.engine.networks.disconnect(x.params.id!, body.Container, body.Force);
      x.empty(200);
    },
  },
];

function encode(record: NetworkRecord) {
  return {
    Name: record.name,
    Id: record.id,
    Created: rfc3339(record.createdAt),
    Scope: record.scope,
    Driver: record.driver,
    EnableIPv4: record.enableIPv4,
    EnableIPv6: record.enableIPv6,
    IPAM: {
      Driver: record.ipam.driver,
      // A predefined network was made without any.
      Options: ["bridge", "host", "none"].includes(record.name) ? null : record.ipam.options,
      Config: record.ipam.config.map(({ subnet, gateway, ipRange, auxAddresses }) => ({
        Subnet: subnet,
        ...(ipRange !== undefined && { IPRange: ipRange }),
        ...(gateway !== undefined && { Gateway: gateway }),
        ...(auxAddresses && { AuxiliaryAddresses: auxAddresses }),
      })),
    },
    Internal: record.internal,
    Attachable: record.attachable,
    Ingress: record.ingress,
    ConfigFrom: { Network: record.configFrom ?? "" },
    ConfigOnly: record.configOnly ?? false,
    Options: record.options,
    Labels: record.labels,
  };
}

function inspection(network: NetworkInspection) {
  const containers = Object.entries(network.containers).map(([id, endpoint]) => [
    id,
    {
      Name: endpoint.name,
      EndpointID: endpoint.endpointId,
      MacAddress: endpoint.macAddress,
      IPv4Address: endpoint.ipv4Address,
      IPv6Address: endpoint.ipv6Address,
    },
  ]);
  return { ...encode(network), Containers: Object.fromEntries(containers) };
}
