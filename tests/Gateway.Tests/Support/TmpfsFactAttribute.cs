using Xunit;

namespace Gateway.Tests.Support;

/// <summary>A fact that fills a disk: it needs the right to mount one, which root has on most machines.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class TmpfsFactAttribute : FactAttribute
{
    public TmpfsFactAttribute()
    {
        Skip = Tmpfs.IsAllowed ? null : "A tmpfs cannot be mounted here: run as root, in a container with CAP_SYS_ADMIN.";
    }
}
