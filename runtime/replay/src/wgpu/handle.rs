//! Objects of wgpu's core that release themselves. The core counts the users of an object, submitted commands included, so
//! that one may be released while work that uses it is pending.

use std::sync::Arc;

use ::wgpu::wgc::global::Global;
use ::wgpu::wgc::id;

/// What the core's registries know objects by.
pub(crate) trait Id: Copy {
    fn release(self, core: &Global);
}

macro_rules! ids {
    ($($id:ident: $release:ident,)*) => {
        $(impl Id for id::$id {
            fn release(self, core: &Global) {
                core.$release(self);
            }
        })*
    };
}

ids! {
    AdapterId: adapter_drop,
    BindGroupId: bind_group_drop,
    BindGroupLayoutId: bind_group_layout_drop,
    BufferId: buffer_drop,
    CommandBufferId: command_buffer_drop,
    CommandEncoderId: command_encoder_drop,
    ComputePipelineId: compute_pipeline_drop,
    DeviceId: device_drop,
    PipelineCacheId: pipeline_cache_drop,
    PipelineLayoutId: pipeline_layout_drop,
    QuerySetId: query_set_drop,
    QueueId: queue_drop,
    ShaderModuleId: shader_module_drop,
    TextureId: texture_drop,
    TextureViewId: texture_view_drop,
}

/// An object, released when it is dropped.
pub(crate) struct Handle<I: Id> {
    id: I,
    core: Arc<Global>,
}

impl<I: Id> Handle<I> {
    /// An object that was just made.
    pub(crate) fn new(core: &Arc<Global>, id: I) -> Self {
        Self { id, core: Arc::clone(core) }
    }

    pub(crate) fn id(&self) -> I {
        self.id
    }
}

impl<I: Id> Drop for Handle<I> {
    fn drop(&mut self) {
        self.id.release(&self.core);
    }
}
