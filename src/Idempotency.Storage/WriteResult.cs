namespace Idempotency.Storage;

/// <summary>What became of an owner's write (settle, mark uncertain, release, renew).</summary>
public enum WriteResult
{
    /// <summary>Done, or done before by the same token: repeating a write changes nothing.</summary>
    Done,

    /// <summary>The store had lost the record and the owner's write put it back. A guarantee may be broken.</summary>
    Recreated,

    /// <summary>Nothing is on record, and there was nothing to do (release of a claim that is gone).</summary>
    Gone,

    /// <summary>Another token owns the record; nothing was written. A guarantee may be broken.</summary>
    Foreign,

    /// <summary>A later attempt owns the record, or an operator deleted it; nothing was written. Expected of an owner that was away for longer than its lease.</summary>
    TakenOver,

    /// <summary>The same token settled the record otherwise before; the first settlement stands.</summary>
    Settled,

    /// <summary>No answer for this one of several writes; it may have taken effect, and may be repeated.</summary>
    Unknown,
}
