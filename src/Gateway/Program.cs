using System.CommandLine;
using Gateway;

// Idempotency gateway: `run` (default) proxies, `check` validates a configuration. See ARCHITECTURE.md.
AppContext.SetSwitch("Microsoft.AspNetCore.Server.Kestrel.DisableHttp1LineFeedTerminators", true); // a bare LF does not end a line (RFC 9112, section 2.2)

// Signals belong to the host, which drains: the parser's own handling would end the process two seconds after SIGTERM.
return await CommandLine.Create().Parse(args).InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null });
